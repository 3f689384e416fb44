import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { ConfigError } from '../src/config.ts'
import { SETTINGS, configTable, loadConfig, printConfig } from '../src/config.ts'

describe('configuration', () => {
  it('has a default for all that need one', () => {
    const config = loadConfig({})
    expect(config).toMatchObject({
      httpPort: 8080,
      httpHost: '127.0.0.1',
      sipPort: 5060,
      dataDir: './data',
      allowInsecureBots: false,
    })
    expect(config.rtpPorts).toEqual({ first: 20000, last: 29999 })
    expect(config.databaseUrl).toBeUndefined()
  })

  it('looks for prompts in the data directory unless told where', () => {
    expect(loadConfig({ TRUNKLINE_DATA_DIR: '/srv/tl' }).promptsDir).toBe('/srv/tl/prompts')
    expect(loadConfig({ TRUNKLINE_PROMPTS_DIR: '/srv/wav' }).promptsDir).toBe('/srv/wav')
  })

  it('reports every mistake at once, unknown names included, without showing a secret', () => {
    const env = {
      TRUNKLINE_HTTP_PORT: '70000',
      TRUNKLINE_RTP_PORTS: '5-4',
      TRUNKLINE_ADMIN_KEY: 'short-secret',
      TRUNKLINE_HTP_PORT: '1',
    }
    let mistakes: string[] = []
    try {
      loadConfig(env)
    } catch (err) {
      mistakes = (err as ConfigError).mistakes
    }
    expect(mistakes).toEqual([
      'TRUNKLINE_HTTP_PORT=70000 must be a whole number from 0 to 65535',
      'TRUNKLINE_RTP_PORTS=5-4 must be FIRST-LAST within 1024-65535, at least 4 ports',
      'TRUNKLINE_ADMIN_KEY must have at least 24 characters',
      'TRUNKLINE_HTP_PORT is not a setting of Trunkline',
    ])
  })

  it('is printed with its secrets redacted', () => {
    const text = printConfig(
      loadConfig({ DATABASE_URL: 'postgres://u:hunter2@h/db', TRUNKLINE_RTP_PORTS: '30000-30100' }),
    )
    expect(text).toContain('DATABASE_URL=***')
    expect(text).toContain('TRUNKLINE_RTP_PORTS=30000-30100')
    expect(text).not.toContain('hunter2')
    expect(text.split('\n')).toHaveLength(Object.keys(SETTINGS).length)
  })

  it('is described by docs/configuration.md exactly', () => {
    expect(readFileSync('docs/configuration.md', 'utf8')).toContain(configTable())
  })
})
