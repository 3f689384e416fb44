/** What one simulated phone hears, told apart as sound and silence by the level of each packet. */
import { levelDb } from '../audio/energy.ts'

/** Between a clip's speech or tone and the codec's silence. */
const SOUND_DB = -50

export class SoundWatch {
  /** Monotonic; -1 = none yet. */
  firstSoundMs = -1
  lastSoundMs = -1
  /** With sound, since `mark`. */
  packets = 0

  arrived(payload: Uint8Array, nowMs: number): void {
    if (levelDb(payload, 'pcmu') < SOUND_DB) return
    if (this.firstSoundMs < 0) this.firstSoundMs = nowMs
    this.lastSoundMs = nowMs
    this.packets++
  }

  mark(): void {
    this.packets = 0
  }
}
