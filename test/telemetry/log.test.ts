import { expect, it } from 'vitest'
import { maskNumber } from '../../src/telemetry/log.ts'

it.each([
  ['+919876543210', '+9198******10'],
  ['09876543210', '09876******10'],
  ['9876543210', '9876******10'],
  ['2101', '2101'],
  ['+493012345', '+493******45'],
])('masks %s as %s', (number, masked) => expect(maskNumber(number)).toBe(masked))
