import { availableParallelism } from 'node:os'
import { join } from 'node:path'

/**
 * Every setting once: environment name, kind, default, meaning. `loadConfig` reads them all and reports every mistake
 * at once; `docs/configuration.md` is generated from this table (test/config.test.ts keeps it true).
 * No other file reads process.env.
 */
interface Setting<T> {
  env: string
  default: T | undefined
  /** The default in words, where it is not the same everywhere. */
  defaultText?: string
  /** What it does, with its unit. */
  meaning: string
  secret?: boolean
  parse(text: string): T
}

class Wrong extends Error {}

const setting = <T>(
  env: string,
  parse: (text: string) => T,
  fallback: T | undefined,
  meaning: string,
  secret = false,
): Setting<T> => ({
  env: `TRUNKLINE_${env}`,
  parse,
  default: fallback,
  meaning,
  secret,
})

const text = (t: string): string => t
const integer =
  (min: number, max: number) =>
  (t: string): number => {
    const n = Number(t)
    if (!Number.isInteger(n) || n < min || n > max) throw new Wrong(`must be a whole number from ${min} to ${max}`)
    return n
  }
const flag = (t: string): boolean => {
  if (['1', 'true', 'yes', 'on'].includes(t.toLowerCase())) return true
  if (['0', 'false', 'no', 'off', ''].includes(t.toLowerCase())) return false
  throw new Wrong('must be 1 or 0')
}
const oneOf =
  <T extends string>(...words: T[]) =>
  (t: string): T => {
    if (!words.includes(t as T)) throw new Wrong(`must be one of ${words.join(', ')}`)
    return t as T
  }
const portRange = (t: string): { first: number; last: number } => {
  const m = /^(\d+)-(\d+)$/.exec(t)
  const [first, last] = m ? [Number(m[1]), Number(m[2])] : [0, 0]
  if (first < 1024 || last > 65535 || last - first < 3)
    throw new Wrong('must be FIRST-LAST within 1024-65535, at least 4 ports')
  return { first, last }
}
const httpUrl = (t: string): string => {
  if (!/^https?:\/\/[^/]+/.test(t)) throw new Wrong('must be an http:// or https:// URL')
  return t.replace(/\/+$/, '')
}
const adminKey = (t: string): string => {
  if (t.length < 24) throw new Wrong('must have at least 24 characters')
  return t
}

const port = integer(0, 65535)

export const SETTINGS = {
  httpPort: setting('HTTP_PORT', port, 8080, 'Port of the REST API, `/docs`, `/metrics`; 0 = any free port.'),
  httpHost: setting('HTTP_HOST', text, '127.0.0.1', 'Address that the REST API listens on.'),
  publicUrl: setting<string | undefined>(
    'PUBLIC_URL',
    httpUrl,
    undefined,
    'Base URL in links that we hand out (recordings); default: from the request.',
  ),
  sipPort: setting('SIP_PORT', port, 5060, 'SIP port, UDP and TCP; 0 = any free port.'),
  sipHost: setting('SIP_HOST', text, '127.0.0.1', 'Address that SIP and RTP bind to.'),
  advertisedHost: setting<string | undefined>(
    'ADVERTISED_HOST',
    text,
    undefined,
    'Address written into SDP, Via and Contact; default: SIP_HOST. Set it behind NAT.',
  ),
  rtpPorts: setting(
    'RTP_PORTS',
    portRange,
    { first: 20000, last: 29999 },
    'RTP port range; an even port and the next odd one (RTCP) per leg.',
  ),
  rtpQuarantineMs: setting(
    'RTP_QUARANTINE_MS',
    integer(0, 600_000),
    30_000,
    'How long a port pair rests after a call, ms.',
  ),
  mediaWorkers: {
    ...setting(
      'MEDIA_WORKERS',
      integer(0, 64),
      Math.max(1, availableParallelism() - 1),
      'Media worker threads; 0 = inline in the main thread. Default: cores less one.',
    ),
    defaultText: 'cores − 1',
  },
  dataDir: setting('DATA_DIR', text, './data', 'Directory for the database, the journal and recordings.'),
  promptsDir: {
    ...setting<string>(
      'PROMPTS_DIR',
      text,
      undefined,
      "Directory of the WAV files that bots' fallbackPrompt names. Default: prompts in the data directory.",
    ),
    defaultText: '`<data dir>/prompts`',
  },
  databaseUrl: {
    ...setting<string | undefined>(
      '',
      text,
      undefined,
      'PostgreSQL to use instead of the embedded database, `postgres://…`.',
      true,
    ),
    env: 'DATABASE_URL',
  },
  adminKey: setting<string | undefined>(
    'ADMIN_KEY',
    adminKey,
    undefined,
    'Key of the admin API, at least 24 characters; generated and printed once when absent.',
    true,
  ),
  bootstrap: setting<string | undefined>(
    'BOOTSTRAP',
    text,
    undefined,
    'JSON file that declares accounts, keys, trunks, numbers and bots; applying it twice changes nothing.',
  ),
  allowInsecureBots: setting(
    'ALLOW_INSECURE_BOTS',
    flag,
    false,
    'Allow `ws://` and private addresses for bots (development).',
  ),
  maxCalls: setting('MAX_CALLS', integer(1, 100_000), 1000, 'Live calls at once; the excess gets 503 / 429.'),
  drainSeconds: setting(
    'DRAIN_S',
    integer(0, 86_400),
    900,
    'How long live calls may go on after SIGTERM, s; a second SIGTERM ends them in 5 s.',
  ),
  defaultRegion: setting('DEFAULT_REGION', text, 'IN', 'Region (ISO 3166) for numbers without country code.'),
  defaultZone: setting('DEFAULT_ZONE', text, 'Asia/Kolkata', 'Time zone for vendor routes that give local times.'),
  logLevel: setting(
    'LOG_LEVEL',
    oneOf('trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'),
    'info',
    'Log level.',
  ),
} as const

type Settings = typeof SETTINGS
export type Config = { readonly [K in keyof Settings]: Settings[K] extends Setting<infer T> ? T : never }

export class ConfigError extends Error {
  readonly mistakes: string[]
  constructor(mistakes: string[]) {
    super(`configuration:\n${mistakes.map((m) => `  ${m}`).join('\n')}`)
    this.mistakes = mistakes
  }
}

/** Reads every setting; throws one ConfigError that lists every mistake, unknown TRUNKLINE_ names included. */
export function loadConfig(env: Record<string, string | undefined> = process.env): Config {
  const mistakes: string[] = []
  const config: Record<string, unknown> = {}
  const names = new Set<string>()
  for (const [key, s] of Object.entries(SETTINGS) as [string, Setting<unknown>][]) {
    names.add(s.env)
    const given = env[s.env]
    config[key] = s.default
    if (given === undefined || (given === '' && s.default === undefined)) continue
    try {
      config[key] = s.parse(given)
    } catch (err) {
      if (!(err instanceof Wrong)) throw err
      mistakes.push(`${s.env}${s.secret ? '' : `=${given}`} ${err.message}`)
    }
  }
  config.promptsDir ??= join(config.dataDir as string, 'prompts')
  for (const name of Object.keys(env))
    if (name.startsWith('TRUNKLINE_') && !names.has(name)) mistakes.push(`${name} is not a setting of Trunkline`)
  if (mistakes.length) throw new ConfigError(mistakes)
  return Object.freeze(config) as Config
}

const show = (value: unknown): string => {
  if (value === undefined) return ''
  if (typeof value === 'string') return value
  return typeof value === 'object' && value !== null ? Object.values(value).join('-') : JSON.stringify(value)
}

/** For `--print-config`: one `NAME=value` per line, secrets as `***`. */
export function printConfig(config: Config): string {
  return (Object.entries(SETTINGS) as [keyof Config, Setting<unknown>][])
    .map(([key, s]) => `${s.env}=${s.secret && config[key] !== undefined ? '***' : show(config[key])}`)
    .join('\n')
}

/** The table of `docs/configuration.md`. */
export function configTable(): string {
  const rows = Object.values(SETTINGS as Record<string, Setting<unknown>>).map((s) => {
    const fallback = s.defaultText ?? (show(s.default) ? `\`${show(s.default)}\`` : '–')
    return `| \`${s.env}\` | ${fallback} | ${s.meaning} |`
  })
  return ['| setting | default | meaning |', '|---|---|---|', ...rows].join('\n')
}
