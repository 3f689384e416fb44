import { describe, expect, it } from 'vitest'
import type { Law } from '../../src/audio/flow.ts'
import { dtmfTones, ringback, tone } from '../../src/audio/tone.ts'
import { Vad } from '../../src/audio/vad.ts'
import { atLevel, fixture, frames, mixed, noise, sequence, silence } from '../helpers/sound.ts'

interface Told {
  change: 'started' | 'stopped'
  atMs: number
  toldMs: number
}

function listen(pcm: Int16Array, law: Law = 'pcmu', vad = new Vad()): Told[] {
  const told: Told[] = []
  for (const frame of frames(pcm, law)) {
    const change = vad.frame(frame, law)
    if (change) told.push({ change, atMs: vad.atMs, toldMs: vad.nowMs })
  }
  return told
}

const around = (pcm: Int16Array): Int16Array => sequence(silence(1000), pcm, silence(1500))
const BACKGROUNDS: [string, (dbov: number) => Int16Array | undefined][] = [
  ['no noise', () => undefined],
  ['white noise 20 dB below', (dbov) => noise(4000, dbov - 20)],
  ['white noise 10 dB below', (dbov) => noise(4000, dbov - 10)],
  ['low noise 20 dB below', (dbov) => noise(4000, dbov - 20, 'brown')],
  ['low noise 10 dB below', (dbov) => noise(4000, dbov - 10, 'brown')],
]
const SPEECH = ['greet-hello', 'greet-name', 'hello-caller', 'bot-answer']
const LEVELS = [-20, -30, -40]

describe.each(BACKGROUNDS)('speech in %s', (_, background) => {
  it.each(SPEECH.flatMap((name) => LEVELS.map((dbov) => [name, dbov] as const)))('%s at %i dBov', (name, dbov) => {
    const clip = fixture(name)
    const clean = around(atLevel(clip, dbov))
    const back = background(dbov)
    const told = listen(back ? mixed(clean, back) : clean)

    expect(told[0]).toMatchObject({ change: 'started' })
    expect(told[0].toldMs).toBeGreaterThanOrEqual(1060)
    expect(told[0].toldMs).toBeLessThanOrEqual(1180)
    expect(told[0].atMs).toBeGreaterThanOrEqual(980)
    expect(told[0].atMs).toBeLessThanOrEqual(1100)

    const endMs = 1000 + clip.length / 8
    const last = told[told.length - 1]
    expect(last).toMatchObject({ change: 'stopped' })
    expect(Math.abs(last.atMs - endMs)).toBeLessThanOrEqual(60)
    expect(last.toldMs - last.atMs).toBeLessThanOrEqual(520)
  })
})

describe('the voice detector', () => {
  it('hears the same in both laws', () => {
    const pcm = around(atLevel(fixture('greet-name'), -25))
    expect(listen(pcm, 'pcma')).toEqual(listen(pcm, 'pcmu'))
  })

  it('tells starts and stops in turn, and no time twice', () => {
    const told = listen(around(mixed(atLevel(fixture('greet-voicemail'), -25), noise(3000, -37))))
    told.forEach((t, i) => expect(t.change).toBe(i % 2 === 0 ? 'started' : 'stopped'))
    for (let i = 1; i < told.length; i++) expect(told[i].atMs).toBeGreaterThanOrEqual(told[i - 1].atMs)
  })

  it('hears somebody who speaks from the first frame on', () => {
    expect(listen(sequence(fixture('greet-hello'), silence(1000)))).toMatchObject([
      { change: 'started', atMs: 0, toldMs: 100 },
      { change: 'stopped' },
    ])
  })

  it('bridges pauses shorter than its hangover', () => {
    const word = atLevel(fixture('greet-hello'), -25)
    const twice = sequence(silence(500), word, silence(300), word, silence(1000))
    expect(listen(twice)).toHaveLength(2)
    expect(listen(twice, 'pcmu', new Vad({ hangoverMs: 200 }))).toHaveLength(4)
  })

  it('hears speech again after noise has come up, and lets the noise pass', () => {
    const word = atLevel(fixture('greet-name'), -22)
    const pcm = sequence(silence(1000), noise(2000, -36), mixed(word, noise(3000, -36)), noise(2000, -36), silence(500))
    const told = listen(pcm)
    expect(told.map((t) => t.change)).toEqual(['started', 'stopped'])
    expect(told[0].atMs).toBeGreaterThan(2900)
    expect(told[0].toldMs).toBeLessThan(3250)
    expect(told[1].atMs).toBeLessThan(5100)
  })

  it('hears speech against comfort noise that the network leaves out now and then', () => {
    const word = atLevel(fixture('greet-name'), -24)
    const gappy = sequence(noise(700, -50), silence(300), mixed(word, noise(3000, -50)), silence(200), noise(1000, -50))
    expect(listen(gappy).map((t) => t.change)).toEqual(['started', 'stopped'])
  })

  const clicks = silence(5000)
  for (let i = 400; i < clicks.length; i += 2400) clicks.set([30_000, -20_000, 9000], i)
  const crackle = noise(4000, -20).map((s, i) => (i % 1600 < 240 ? s : 0))

  it.each<[string, Int16Array]>([
    ['silence', silence(3000)],
    ['loud white noise', noise(20_000, -25)],
    ['faint white noise', noise(20_000, -50)],
    ['loud low noise', noise(20_000, -25, 'brown')],
    ['hum of 50 Hz', tone([50, 100, 150, 250], 4000, { levelDb: -28 })],
    ['hum of 60 Hz', tone([60, 120, 180], 4000, { levelDb: -28 })],
    ['a tone of 1000 Hz', tone([1000], 4000)],
    ['a short tone', tone([440], 120)],
    ['a tone in noise', mixed(tone([800], 3000, { levelDb: -20 }), noise(3000, -36))],
    ['quick digits', dtmfTones('1234567890*#ABCD', 50, 50)],
    ['digits', dtmfTones('1234567890*#ABCD', 100, 100)],
    ['slow digits', dtmfTones('13579', 250, 60)],
    ['ringback of the US', ringback('US', 9000)],
    ['ringback of Germany', ringback('DE', 9000)],
    ['a busy tone', sequence(...[1, 2, 3, 4].flatMap(() => [tone([480, 620], 500), silence(500)]))],
    ['clicks', clicks],
    ['crackle of 30 ms', crackle],
  ])('takes no %s for speech', (_, pcm) => {
    expect(listen(sequence(silence(600), pcm, silence(1000)))).toEqual([])
  })

  it('does take music of chords for speech: nothing tells it apart in so short a time', () => {
    const chord = (hz: number): Int16Array => tone([hz, hz * 1.26, hz * 1.5], 400, { levelDb: -22, fadeMs: 20 })
    const music = sequence(...[262, 294, 330, 349, 392, 440, 494].map(chord))
    expect(listen(around(music)).map((t) => t.change)).toEqual(['started', 'stopped'])
  })

  it('ends speech soon when only noise goes on', () => {
    const word = atLevel(fixture('greet-name'), -22)
    const told = listen(sequence(silence(1000), word, noise(6000, -32)))
    expect(told.map((t) => t.change)).toEqual(['started', 'stopped'])
    expect(told[1].atMs).toBeLessThan(1000 + 1905 + 400)
    expect(told[1].toldMs).toBeLessThan(1000 + 1905 + 1300)
  })

  it('begins anew where it is told to, with the time of the call', () => {
    const vad = new Vad()
    listen(fixture('greet-hello'), 'pcmu', vad)
    vad.restart(60_000)
    expect(vad.speaking).toBe(false)
    const [first] = listen(around(fixture('greet-hello')), 'pcmu', vad)
    expect(first.atMs).toBeGreaterThanOrEqual(60_980)
    expect(first.atMs).toBeLessThanOrEqual(61_040)
  })

  it('takes frames of any length', () => {
    const vad = new Vad()
    for (const length of [0, 1, 80, 159, 160, 161, 4000]) vad.frame(new Uint8Array(length), 'pcmu')
    expect(vad.nowMs).toBe(140)
  })
})
