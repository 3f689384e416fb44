import { readFileSync, readdirSync } from 'node:fs'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { newIdentity } from '../../src/sip/sdp/build.ts'
import { answerOffer, applyAnswer, DEFAULT_PREFERENCES } from '../../src/sip/sdp/negotiate.ts'

const dir = new URL('../../fixtures/sdp/', import.meta.url)
const texts = readdirSync(dir).map((f) => readFileSync(new URL(f, dir), 'latin1'))
const local = { host: '192.0.2.1', port: 20000 }
const LIMIT = { interruptAfterTimeLimit: 1500, numRuns: 5000 }

const mutated = fc
  .tuple(
    fc.constantFrom(...texts),
    fc.array(fc.tuple(fc.nat(), fc.nat(40), fc.string({ maxLength: 20 })), { minLength: 1, maxLength: 6 }),
  )
  .map(([text, cuts]) =>
    cuts.reduce((t, [at, length, add]) => {
      const i = at % (t.length + 1)
      return t.slice(0, i) + add + t.slice(i + length)
    }, text),
  )

it('reads any SDP without throwing, and what it answers is well-formed', () => {
  fc.assert(
    fc.property(fc.oneof(mutated, fc.string({ maxLength: 300 })), (text) => {
      applyAnswer(text, DEFAULT_PREFERENCES)
      const answered = answerOffer(newIdentity('1'), text, local, DEFAULT_PREFERENCES)
      if (!answered) return
      for (const line of answered.sdp.split('\r\n').slice(0, -1)) expect(line).toMatch(/^[a-z]=[\x20-\x7e]*$/)
      const { media } = answered
      expect(media.port).toBeGreaterThan(0)
      expect(media.ptimeMs % 10).toBe(0)
      expect(media.ptimeMs).toBeGreaterThanOrEqual(10)
      expect(media.ptimeMs).toBeLessThanOrEqual(60)
      expect(media.payloadType).toBeLessThanOrEqual(127)
      expect(answered.sdp.match(/^m=/gm)?.length).toBe(answered.lines.length)
    }),
    LIMIT,
  )
})
