/**
 * Waits for something of a real system to come true: the one place of the tests that looks again and again. Bounded;
 * logic is tested in virtual time instead.
 */
export async function until<T>(
  look: () => T | undefined | false | Promise<T | undefined | false>,
  limitMs = 10_000,
): Promise<T> {
  for (let waitedMs = 0; waitedMs < limitMs; waitedMs += 20) {
    const found = await look()
    if (found !== undefined && found !== false) return found
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  throw new Error(`it did not come within ${limitMs} ms: ${look.toString()}`)
}
