/**
 * State machines as tables: `{ state: { event: nextState } }`. One door for transitions; an illegal move throws
 * with both names, so a wrong assumption shows where it is made.
 */
export type Table<S extends string, E extends string> = Record<S, Partial<Record<E, S>>>

export interface Machine<S extends string, E extends string> {
  readonly name: string
  next(state: S, event: E): S
  can(state: S, event: E): boolean
  isFinal(state: S): boolean
}

export function machine<S extends string, E extends string>(name: string, table: Table<S, E>): Machine<S, E> {
  return {
    name,
    can: (state, event) => table[state][event] !== undefined,
    isFinal: (state) => Object.keys(table[state]).length === 0,
    next(state, event) {
      const to = table[state][event]
      if (to === undefined) throw new Error(`${name}: no move '${event}' from state '${state}'`)
      return to
    },
  }
}
