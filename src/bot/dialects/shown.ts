/**
 * What a bot wrote, as it is quoted back to it: short. Objects are only named, since JSON.stringify and String run out of
 * stack on a nesting that JSON.parse has taken.
 */
export function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 64))
  if (Array.isArray(value)) return 'An array'
  return typeof value === 'object' && value !== null ? 'An object' : String(value)
}
