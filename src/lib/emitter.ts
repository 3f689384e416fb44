/**
 * Typed events. A listener that throws is reported through `onError` and never harms the emitter or the other
 * listeners: one call's bug must not reach another call.
 */
export class Emitter<Events extends Record<string, unknown>> {
  #listeners = new Map<keyof Events, Set<(value: never) => void>>()
  readonly #onError: (err: unknown, event: string) => void

  constructor(onError: (err: unknown, event: string) => void) {
    this.#onError = onError
  }

  /** Returns the function that takes the listener off again. */
  on<K extends keyof Events>(event: K, listener: (value: Events[K]) => void): () => void {
    let set = this.#listeners.get(event)
    if (!set) this.#listeners.set(event, (set = new Set()))
    set.add(listener)
    return () => set.delete(listener)
  }

  emit<K extends keyof Events>(event: K, value: Events[K]): void {
    const set = this.#listeners.get(event)
    if (!set) return
    for (const listener of set) {
      try {
        ;(listener as (value: Events[K]) => void)(value)
      } catch (err) {
        this.#onError(err, String(event))
      }
    }
  }

  get listenerCount(): number {
    let n = 0
    for (const set of this.#listeners.values()) n += set.size
    return n
  }
}
