import { describe, expect, it } from 'vitest'
import { MediaText } from '../../../src/bot/dialects/media-text.ts'

describe('audio in text frames', () => {
  it('comes out whole when frames grow, shrink and come from other arrays', () => {
    const wrote: string[] = []
    const media = new MediaText({ text: (t) => void wrote.push(Buffer.from(t as Uint8Array).toString()), binary: () => undefined }) // prettier-ignore
    const large = new Uint8Array(20_000).map((_, i) => i & 255)
    for (const audio of [
      large.subarray(3, 163),
      large,
      large.subarray(0, 1),
      new Uint8Array(0),
      large.subarray(7, 167),
    ]) {
      const bytes = media.write('{"p":"', audio, '"}')
      const text = `{"p":"${Buffer.from(audio).toString('base64')}"}`
      expect(wrote.pop()).toBe(text)
      expect(bytes).toBe(text.length)
    }
  })

  it('reads the array anew each time', () => {
    const wrote: string[] = []
    const media = new MediaText({ text: (t) => void wrote.push(Buffer.from(t as Uint8Array).toString()), binary: () => undefined }) // prettier-ignore
    const audio = new Uint8Array(3)
    media.write('', audio, '')
    audio.fill(255)
    media.write('', audio, '')
    expect(wrote).toEqual(['AAAA', '////'])
  })
})
