import type { DialectKind, DialectName } from '../dialect.ts'
import { exotel } from './exotel.ts'
import { jambonz } from './jambonz.ts'
import { native } from './native.ts'
import { openaiRealtime } from './openai-realtime.ts'
import { plivo, vobiz } from './plivo.ts'
import { telnyx } from './telnyx.ts'
import { signalwire, twilio } from './twilio.ts'
import { vonage } from './vonage.ts'

/** Every protocol that a bot may speak. */
export const DIALECT_KINDS: Readonly<Record<DialectName, DialectKind>> = {
  native,
  twilio,
  signalwire,
  exotel,
  plivo,
  vobiz,
  telnyx,
  vonage,
  jambonz,
  'openai-realtime': openaiRealtime,
}
