import { maskNumber } from '../telemetry/log.ts'

const SECRET = /^(token|api_?key|sig|secret|password|secret_key)$/i

/** A request's URL as it may be logged: keys and signatures gone, phone numbers masked (RELIABILITY S18, S26). */
export function redactUrl(url: string): string {
  const at = url.indexOf('?')
  const path = (at < 0 ? url : url.slice(0, at)).slice(0, 256)
  if (at < 0) return path
  const shown: string[] = []
  for (const pair of url.slice(at + 1, at + 1025).split('&')) {
    const eq = pair.indexOf('=')
    const name = eq < 0 ? pair : pair.slice(0, eq)
    if (eq < 0) shown.push(name)
    else shown.push(`${name}=${SECRET.test(decoded(name)) ? '***' : masked(pair.slice(eq + 1))}`)
  }
  return `${path}?${shown.join('&')}`
}

const masked = (value: string): string =>
  /^[+\d\s().-]{7,}$/.test(decoded(value)) ? maskNumber(decoded(value)) : value

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
