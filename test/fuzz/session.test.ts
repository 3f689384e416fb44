import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { DialectName } from '../../src/bot/dialect.ts'
import { FakeClock } from '../fakes/clock.ts'
import { connected, FRAME, synced } from '../fakes/session.ts'

const deep = (n: number): string => `${'{"a":'.repeat(n)}1${'}'.repeat(n)}`
const hostile = fc.oneof(
  fc.uint8Array({ minLength: 1, maxLength: 1 }),
  fc.uint8Array({ maxLength: 2000 }),
  fc.string({ maxLength: 300 }),
  fc.json({ maxDepth: 4 }),
  fc.constantFrom(
    deep(5000),
    '{"type":"response.audio.delta","delta":"%%%%"}',
    '{"type":"response.audio.delta","delta":17}',
    '{"type":"media","media":{"payload":["A"]}}',
    '{"type":"mark"}',
    '{"type":"session.update","audio":{"input":{"encoding":"opus"},"output":7}}',
    '{"type":"session.transfer","target":{"a":1}}',
    '{"type":"call.answer"}',
    '{"type":"dtmf.send","digits":"999999999999999999999999999999999999999999999999999999999999999999"}',
    '{"type":"session.replay","ms":-1e308}',
    '{"event":"stop"}'.slice(0, -2),
    'x'.repeat(1_000_000),
    '{"type":"recording.start"}',
    '{"type":"hold"}',
    '{"type":"resume"}',
  ),
)

/** Those in which a frame of noise is a frame of audio or is ignored: all but the ones that a bot may end the call in. */
const DIALECTS: DialectName[] = ['native', 'exotel', 'telnyx', 'vonage', 'jambonz']

it.each(DIALECTS)(
  'a %s bot that sends anything at all ends neither its call nor another one',
  { timeout: 30_000 },
  async (dialect) => {
    const clock = new FakeClock()
    const bad = await connected({}, { dialect }, { clock, anyStart: true })
    const good = await connected({ echo: true }, {}, { clock })
    await fc.assert(
      fc.asyncProperty(fc.array(hostile, { minLength: 1, maxLength: 20 }), async (frames) => {
        for (const frame of frames) bad.talk.socket.send(frame)
        const ponged = new Promise((resolve) => bad.talk.socket.once('pong', resolve))
        bad.talk.socket.ping()
        await ponged
        bad.session.sink.frame(FRAME, 'pcmu', 0)
        bad.play(3)
        good.session.sink.frame(FRAME, 'pcmu', 0)
        await synced(good.talk)
        // Another second: what counts as too much is counted by the second.
        clock.advance(1000)
      }),
      { numRuns: 60 },
    )
    const ends = ['fault', 'lost', 'ended', 'away']
    expect(bad.told.filter((t) => ends.includes(t.what))).toEqual([])
    expect(good.told.filter((t) => ends.includes(t.what))).toEqual([])
    expect(good.talk.heard().length).toBeGreaterThanOrEqual(60 * 160)
    expect(good.play(500).length).toBeGreaterThan(0)
  },
)
