import { parsePhoneNumberFromString, type CountryCode } from 'libphonenumber-js/max'

// Longest that people write: '+' and 15 digits with separators between.
const MAX_LENGTH = 40

/**
 * E.164 with '+', or undefined when it can't be a number of anyone. Takes what callers and carriers write: `+91…`,
 * `0091…`, `91…`, `0…` and bare national digits, with spaces, dots and dashes between.
 */
export function normaliseNumber(raw: string, region: string): string | undefined {
  if (raw.length > MAX_LENGTH || !/^[\s\d+().\-/]+$/.test(raw)) return undefined
  const digits = raw.replace(/[^\d+]/g, '')
  if (digits.startsWith('+')) return valid(digits, region)
  if (digits.startsWith('00')) return valid(`+${digits.slice(2)}`, region)
  // National reading first: a national number may begin with the digits of the country code (91 1234 5678 in India).
  return valid(digits, region) ?? valid(`+${digits}`, region)
}

function valid(text: string, region: string): string | undefined {
  const parsed = parsePhoneNumberFromString(text, { defaultCountry: region as CountryCode, extract: false })
  return parsed?.isValid() ? parsed.number : undefined
}
