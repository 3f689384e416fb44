/** Tones as PCM16: sine, the DTMF pairs (ITU-T Q.23) and ringback cadences (ITU-T E.180). */
export const RATE_HZ = 8000

/** DTMF key to its row and column frequency. */
export const DTMF_HZ: Readonly<Record<string, readonly [number, number]>> = Object.fromEntries(
  ['123A', '456B', '789C', '*0#D'].flatMap((row, r) =>
    [...row].map((key, c) => [key, [[697, 770, 852, 941][r], [1209, 1336, 1477, 1633][c]] as const]),
  ),
)

export interface ToneOptions {
  /** Of each partial, relative to full scale. */
  levelDb?: number
  rateHz?: number
  /** Linear fade at both ends against clicks, ms. */
  fadeMs?: number
}

/** The sum of sines at `frequencies`, `durationMs` long. */
export function tone(frequencies: readonly number[], durationMs: number, options: ToneOptions = {}): Int16Array {
  const rateHz = options.rateHz ?? RATE_HZ
  const amplitude = 32_767 * 10 ** ((options.levelDb ?? -12) / 20)
  const fade = Math.round(((options.fadeMs ?? 0) * rateHz) / 1000)
  const pcm = new Int16Array(Math.round((durationMs * rateHz) / 1000))
  for (let i = 0; i < pcm.length; i++) {
    let sum = 0
    for (const hz of frequencies) sum += Math.sin((2 * Math.PI * hz * i) / rateHz)
    const ramp = fade ? Math.min(1, (i + 1) / fade, (pcm.length - i) / fade) : 1
    pcm[i] = Math.max(-32_768, Math.min(32_767, Math.round(sum * amplitude * ramp)))
  }
  return pcm
}

export const sine = (hz: number, durationMs: number, options?: ToneOptions): Int16Array =>
  tone([hz], durationMs, options)

/** Digits as in-band tones with gaps; other characters are pauses of one tone and gap. */
export function dtmfTones(digits: string, durationMs = 100, gapMs = 100, options?: ToneOptions): Int16Array {
  const step = ((durationMs + gapMs) * (options?.rateHz ?? RATE_HZ)) / 1000
  const pcm = new Int16Array(Math.round(digits.length * step))
  ;[...digits.toUpperCase()].forEach((digit, i) => {
    const pair = DTMF_HZ[digit]
    if (pair) pcm.set(tone(pair, durationMs, options), Math.round(i * step))
  })
  return pcm
}

/** On and off times in ms, repeated; E.180 supplement, some countries that ring differently. */
const CADENCES: Readonly<Record<string, { hz: readonly number[]; ms: readonly number[] }>> = {
  IN: { hz: [400, 425], ms: [400, 200, 400, 2000] },
  GB: { hz: [400, 450], ms: [400, 200, 400, 2000] },
  US: { hz: [440, 480], ms: [2000, 4000] },
  DE: { hz: [425], ms: [1000, 4000] },
}

/** Ringback of a region (ISO 3166; others ring as Germany does: 425 Hz, 1 s on, 4 s off). */
export function ringback(region: string, durationMs: number, options: ToneOptions = {}): Int16Array {
  const { hz, ms } = CADENCES[region] ?? CADENCES.DE
  const rateHz = options.rateHz ?? RATE_HZ
  const pcm = new Int16Array(Math.round((durationMs * rateHz) / 1000))
  let atMs = 0
  for (let i = 0; atMs < durationMs; i = (i + 1) % ms.length) {
    if (i % 2 === 0) {
      const on = tone(hz, Math.min(ms[i], durationMs - atMs), { levelDb: -20, fadeMs: 5, ...options })
      pcm.set(on.subarray(0, pcm.length - Math.round((atMs * rateHz) / 1000)), Math.round((atMs * rateHz) / 1000))
    }
    atMs += ms[i]
  }
  return pcm
}
