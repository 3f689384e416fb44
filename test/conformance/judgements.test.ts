import { describe, expect, it } from 'vitest'
import { JUDGEMENTS } from '../../src/conformance/judgements.ts'
import { Observations } from '../../src/conformance/observations.ts'
import type { Finding, Rule } from '../../src/conformance/rules.ts'
import { DEFAULT_FORMAT } from '../../src/conformance/target.ts'

/** A run of 10 s in which `happen` took place. */
function judged(rule: Rule, happen: (seen: Observations) => void): Finding {
  const seen = new Observations(DEFAULT_FORMAT)
  for (let slot = 0; slot < 500; slot++) seen.looked({ bufferedBytes: 0, rttMs: slot < 100 ? undefined : 2 })
  happen(seen)
  return new Map(JUDGEMENTS).get(rule)!(seen)
}

const audio = (bytes: number): { kind: 'audio'; bytes: Uint8Array } => ({ kind: 'audio', bytes: new Uint8Array(bytes) })

describe('what was seen of a bot', () => {
  it.each<[string, Rule, string, (seen: Observations) => void]>([
    ['keeps up', 'reads', 'pass', () => undefined],
    ['lets a second of audio pile up', 'reads', 'warn', (s) => s.looked({ bufferedBytes: 20_000, rttMs: 2 })],
    ['answers a ping late, behind what it has not read', 'reads', 'warn', (s) => s.looked({ bufferedBytes: 0, rttMs: 2300 })], // prettier-ignore
    ['reads so slowly that audio was dropped', 'reads', 'fail', (s) => (s.droppedMs = 140)],
    ['answers pings', 'pong', 'pass', () => undefined],
    ['sent no audio', 'format', 'info', () => undefined],
    ['sent audio', 'format', 'pass', (s) => s.said(audio(160), 0)],
    [
      'sent PCM16 for µ-law',
      'format',
      'fail',
      (s) => s.told({ kind: 'error', code: 'format_mismatch', message: 'm' }, 0),
    ],
    ['sent what nobody understands', 'understood', 'fail', (s) => s.said({ kind: 'mistake', code: 'bad_json', message: 'm', bad: true }, 0)], // prettier-ignore
    ['sent too much', 'understood', 'warn', (s) => s.told({ kind: 'error', code: 'buffer_full', message: 'm' }, 0)],
    ['used no marks', 'marks', 'info', () => undefined],
    ['used each mark once', 'marks', 'pass', (s) => s.said({ kind: 'mark', name: 'a' }, 0)],
  ])('that %s', (_what, rule, verdict, happen) => {
    expect(judged(rule, happen)[0]).toBe(verdict)
  })

  it('a mark whose name comes back after its answer is no second one of that name', () => {
    const [verdict] = judged('marks', (s) => {
      s.said({ kind: 'mark', name: 'a' }, 0)
      s.told({ kind: 'mark', name: 'a', status: 'played', playedMs: 1 }, 1)
      s.said({ kind: 'mark', name: 'a' }, 2)
    })
    expect(verdict).toBe('pass')
  })

  it('a pong that never came is a failure only after time enough for one', () => {
    const seen = new Observations(DEFAULT_FORMAT)
    const pong = new Map(JUDGEMENTS).get('pong')!
    for (let slot = 0; slot < 100; slot++) seen.looked({ bufferedBytes: 0 })
    expect(pong(seen)[0]).toBe('info')
    for (let slot = 0; slot < 200; slot++) seen.looked({ bufferedBytes: 0 })
    expect(pong(seen)[0]).toBe('fail')
  })

  it('audio is measured in its own encoding and rate, and complaints are kept to a bound', () => {
    const seen = new Observations({ encoding: 'pcm16', sampleRate: 16_000, frameMs: 20 })
    seen.said(audio(640), 0)
    seen.said({ ...audio(160), encoding: 'pcmu' }, 0)
    seen.said({ kind: 'update', output: { sampleRate: 8000 } }, 0)
    seen.said(audio(640), 0)
    expect(seen.audioMs).toBe(20 + 20 + 40)
    expect(seen.longestAudioMs).toBe(40)
    for (let i = 0; i < 1000; i++) seen.said({ kind: 'mistake', code: 'bad_json', message: `${i}`, bad: true }, 0)
    expect(seen.complaints.length).toBe(20)
    expect(seen.complained).toBe(1000)
  })
})
