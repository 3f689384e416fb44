import { DateTime, IANAZone } from 'luxon'
import { DomainError } from '../lib/errors.ts'

const SHAPE = /^(\d{4})-(\d{2})-(\d{2})[ T](\d{2}):(\d{2})(?::(\d{2}))?$/

/**
 * The moment that `YYYY-mm-dd HH:mm[:ss]` names in an IANA zone, as wall-clock ms. A time that a clock change skips is
 * refused; one that it repeats is taken as the first. Between now and a year ahead, else refused.
 */
export function parseScheduleTime(text: string, zone: string, nowMs: number): number {
  const field = 'schedule_datetime'
  const m = SHAPE.exec(text.trim())
  if (!m) throw new DomainError('INVALID', `${field} '${text.slice(0, 40)}' must read YYYY-mm-dd HH:mm`, { field })
  if (!IANAZone.isValidZone(zone))
    throw new DomainError(
      'INVALID',
      `timezone '${zone.slice(0, 60)}' is not a known time zone (such as Asia/Kolkata)`,
      { field: 'timezone' },
    )
  const [year, month, day, hour, minute, second] = m.slice(1).map((part) => Number(part ?? 0))
  const wanted = { year, month, day, hour, minute, second }
  const time = DateTime.fromObject(wanted, { zone })
  if (!time.isValid)
    throw new DomainError(
      'INVALID',
      `${field} '${text}' is not a date and time (${time.invalidExplanation ?? time.invalidReason})`,
      { field },
    )
  // Luxon moves a skipped time forward by the length of the gap; then the hands read differently.
  if (time.hour !== hour || time.minute !== minute)
    throw new DomainError(
      'INVALID',
      `${field} '${text}' does not exist in ${zone}: the clocks skip it; the next time after it is ${time.toFormat('yyyy-MM-dd HH:mm')}`,
      { field },
    )
  const [first] = time.getPossibleOffsets().sort((a, b) => a.toMillis() - b.toMillis())
  const atMs = first.toMillis()
  if (atMs <= nowMs) throw new DomainError('INVALID', `${field} '${text}' (${zone}) lies in the past`, { field })
  if (atMs > DateTime.fromMillis(nowMs).plus({ years: 1 }).toMillis())
    throw new DomainError('INVALID', `${field} '${text}' lies more than a year ahead`, { field })
  return atMs
}
