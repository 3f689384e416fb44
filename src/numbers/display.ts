import { parsePhoneNumberFromString } from 'libphonenumber-js/max'

/** A number for people: `+14155551234` becomes `+1 415-555-1234`, `+911143104567` becomes `+91 11 4310 4567`. */
export function displayNumber(e164: string): string {
  const number = parsePhoneNumberFromString(e164)
  if (!number) return e164
  const [country, ...groups] = number.formatInternational().split(' ')
  // North America writes dashes between its groups.
  return `${country} ${groups.join(number.countryCallingCode === '1' ? '-' : ' ')}`
}
