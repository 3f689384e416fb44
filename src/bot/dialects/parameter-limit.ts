/** Free data of a call for protocols that carry only a little of it (Plivo's and Vonage's 512 bytes). */

/** Of `parameters`, in their order, those that fit as JSON into `maxBytes`: one that is too long leaves room for others. */
export function fitting(parameters: Record<string, string>, maxBytes: number): Record<string, string> {
  let bytes = '{}'.length
  const kept = Object.entries(parameters).filter(([name, value]) => {
    const more = Buffer.byteLength(`${JSON.stringify(name)}:${JSON.stringify(value)},`)
    // The last comma is counted and not written.
    if (bytes + more - 1 > maxBytes) return false
    bytes += more
    return true
  })
  return Object.fromEntries(kept)
}
