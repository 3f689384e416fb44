/**
 * `npm run demo`: a call between a simulated phone and a scripted bot through the real server, told line by line, then
 * checked by what its recording holds. Without --once everything stays up for more calls until Ctrl-C.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join, relative, resolve } from 'node:path'
import { errorText } from '../lib/errors.ts'
import { sleep, type Clock } from '../lib/clock.ts'
import { pcmOf } from '../load/clips.ts'
import type { PhoneCall } from '../load/phone.ts'
import { BotEnd, CALLER_SPEECH, CallerEnd, KEY, newTiming, type Timing } from './demo-call.ts'
import { checkRecording, type Check } from './demo-check.ts'
import { BOT_CLIPS, Stage } from './demo-stage.ts'
import type { Terminal } from './terminal.ts'

export interface DemoOptions {
  clock: Clock
  terminal: Terminal
  once: boolean
  /** Where the WAV goes. */
  outDir: string
  logLevel: string
  /** Resolves when the user wants to end it. */
  interrupted: Promise<void>
}

const CALLER = '+919876543210'
const CALL_LIMIT_MS = 60_000
const STOP_LIMIT_MS = 3_000
const RECORDING_LIMIT_MS = 15_000

/** @returns the exit code */
export async function demo(o: DemoOptions): Promise<number> {
  const { clock, terminal } = o
  const timing = newTiming()
  const first = new BotEnd(clock, terminal, timing)
  let bots = 0
  const stage = await Stage.open({
    clock,
    httpPort: o.once ? 0 : await freeOrAny(8080),
    sipPort: o.once ? 0 : await freeOrAny(5060),
    logLevel: o.logLevel,
    bot: () => (bots++ === 0 ? first : new BotEnd(clock, terminal)),
  })
  try {
    terminal.tell('server', `is up: SIP 127.0.0.1:${stage.server.sipPort}, API ${stage.api}`)
    howToReach(stage, terminal)
    answerCarrierCalls(stage, o)
    const run = firstCall(stage, o, timing, first)
    const code = await Promise.race([run, o.interrupted.then(() => 130)])
    if (o.once || code === 130) return code
    terminal.print('\nEverything stays up: try the curl line above, or call from a softphone. Ctrl-C ends it.')
    await o.interrupted
    return code
  } finally {
    await stage.close()
  }
}

async function firstCall(stage: Stage, o: DemoOptions, timing: Timing, bot: BotEnd): Promise<number> {
  const { clock, terminal } = o
  const caller = new CallerEnd(terminal, timing)
  terminal.tell('caller', `dials ${stage.target}`)
  const call = await stage.phone.call({ target: stage.target, from: CALLER, ...caller.hooks })
  caller.take(call)
  void call.answered.then(
    () => terminal.tell('caller', `is answered, ${call.times.answeredMs.toFixed(1)} ms after the INVITE`),
    () => undefined, // told below, with how it ended
  )
  const inTime = await Promise.race([call.ended.then(() => true), sleep(clock, CALL_LIMIT_MS).then(() => false)])
  if (!inTime) call.hangup()
  const end = await call.ended
  // The bot's `stop` and the BYE go out together, on two sockets.
  await Promise.race([bot.ended, sleep(clock, STOP_LIMIT_MS)])
  const how = end.by === 'peer' ? 'the bridge hung up' : `ended by ${end.by}`
  terminal.tell('caller', `${how}: ${end.text || 'normal clearing'} (${end.sipStatus})`)

  const checks: Check[] = [
    {
      what: 'call was answered',
      ok: call.times.answeredMs >= 0,
      detail: end.sipStatus ? `${end.sipStatus} ${end.text}` : 'yes',
    },
    {
      what: 'bot hung up after its last word',
      ok: inTime && end.by === 'peer' && bot.stopReason === 'bot_hangup',
      detail: bot.stopReason || 'no stop message',
    },
    {
      what: `key ${KEY} reached the bot once`,
      ok: bot.digits.join('') === KEY,
      detail: bot.digits.join('') || 'none came',
    },
    { what: 'bot got no error', ok: bot.errors.length === 0, detail: bot.errors[0] ?? 'none' },
  ]
  const recording = await recordingOf(stage, bot.callId, o)
  if (typeof recording === 'string') checks.push({ what: 'recording is there', ok: false, detail: recording })
  else checks.push(...checkRecording(recording.wav, EXPECTED))
  summary(terminal, call, timing, bot, typeof recording === 'string' ? undefined : recording.path)
  terminal.print('\nChecks')
  for (const { what, ok, detail } of checks)
    terminal.print(`  ${ok ? terminal.colour('ok    ', 'green') : terminal.colour('FAILED', 'red')} ${what}: ${detail}`)
  return checks.every((c) => c.ok) ? 0 : 1
}

const EXPECTED = {
  left: { speech: pcmOf(CALLER_SPEECH) },
  right: { greeting: pcmOf(BOT_CLIPS.greeting), answer: pcmOf(BOT_CLIPS.answer), thanks: pcmOf(BOT_CLIPS.key) },
}

function summary(terminal: Terminal, call: PhoneCall, timing: Timing, bot: BotEnd, wav: string | undefined): void {
  const latency = ({ latency: l }: { latency: { count: number; percentile(share: number): number } }): string =>
    l.count
      ? `${l.percentile(0.5).toFixed(1)} / ${l.percentile(0.99).toFixed(1)} ms over ${l.count} frames`
      : 'no frame could be timed'
  const { received, lost, late } = call.media.stats
  const set = call.times.answeredMs
  terminal.print('\nSummary')
  terminal.print(`  set-up, INVITE to 200            ${set < 0 ? '-' : `${set.toFixed(1)} ms`}`)
  terminal.print(`  caller to bot, added, p50 / p99  ${latency(timing.up)} (jitter buffer included)`)
  terminal.print(`  bot to caller, added, p50 / p99  ${latency(timing.down)} (playout slot included)`)
  terminal.print(
    `  packets lost                     ${lost} of ${received + lost}; ${late} more than 10 ms off their 20 ms`,
  )
  terminal.print(`  keys that reached the bot        ${bot.digits.join('') || 'none'}`)
  terminal.print(`  recording                        ${wav ?? 'none'}${wav ? ' (left caller, right bot)' : ''}`)
}

function howToReach(stage: Stage, terminal: Terminal): void {
  const body = JSON.stringify({ customer_no: '09876543210', wss_url: stage.bots.url })
  terminal.print(`
  API and docs  ${stage.api}/docs
  API key       ${stage.apiKey}
  Admin key     ${stage.adminKey}
  Place a call  curl -s ${stage.api}/api/dial_by_aivoicebot -H 'Authorization: Bearer ${stage.apiKey}' -H 'Content-Type: application/json' -d '${body}'
`)
}

/** Calls that the server places (the curl line) are answered by the simulated carrier, which talks as in the first call. */
function answerCarrierCalls({ phone }: Stage, { terminal }: DemoOptions): void {
  const ends = new WeakMap<object, CallerEnd>()
  phone.onCall(
    (session) => {
      const end = new CallerEnd(terminal)
      ends.set(session, end)
      terminal.tell('caller', 'is called, rings')
      return { do: 'answer', ringMs: 1000, ...end.hooks }
    },
    (call) => {
      ends.get(call.session)?.take(call)
      void call.ended.then((end) => terminal.tell('caller', `call ended: ${end.text || 'normal clearing'}`))
    },
  )
}

/** The recording by the public API, as any customer gets it: from the call's record to the signed link. */
async function recordingOf(
  stage: Stage,
  callId: string,
  { clock, outDir }: DemoOptions,
): Promise<{ wav: Buffer; path: string } | string> {
  if (!callId) return 'the bot never learned a call id'
  const untilMs = clock.now() + RECORDING_LIMIT_MS
  let last = 'no recording_url'
  while (clock.now() < untilMs) {
    try {
      const reply = await fetch(`${stage.api}/v1/calls/${callId}`, {
        headers: { authorization: `Bearer ${stage.apiKey}` },
      })
      const body = (await reply.json()) as { recording_url?: string | null }
      if (!reply.ok) last = `GET /v1/calls/${callId}: ${reply.status}`
      else if (body.recording_url) {
        const file = await fetch(body.recording_url)
        if (!file.ok) return `download: ${file.status}`
        const wav = Buffer.from(await file.arrayBuffer())
        mkdirSync(outDir, { recursive: true })
        const path = resolve(join(outDir, `call-${callId}.wav`))
        writeFileSync(path, wav)
        return { wav, path: relative(process.cwd(), path) }
      }
    } catch (err) {
      last = errorText(err)
    }
    await sleep(clock, 100)
  }
  return last
}

/** The usual port where it is free, else any. */
function freeOrAny(port: number): Promise<number> {
  const server = createServer()
  return new Promise((done) => {
    server.once('error', () => done(0))
    server.listen(port, '127.0.0.1', () => server.close(() => done(port)))
  })
}
