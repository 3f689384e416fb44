/** AI voice bot calls of IVR Solutions: https://api.ivrsolutions.in/docs/openapi, group "AI voice bots". */
import { Type } from '@fastify/type-provider-typebox'
import type { AccountContext } from '../../accounts/ports.ts'
import { Dialect } from '../../bots/bot.ts'
import { parseHeaders, type HeaderInput } from '../../egress/headers.ts'
import { DomainError } from '../../lib/errors.ts'
import type { PlacedCall } from '../../calls/outbound.ts'
import type { ScheduledCall } from '../../schedules/ports.ts'
import type { Core } from '../core.ts'
import { dialLater, dialNow, type Dial } from '../dial.ts'
import { once } from '../idempotency.ts'
import { row } from '../route.ts'

const text = (maxLength: number, description: string) => Type.Optional(Type.String({ maxLength, description }))

export const DialByAiVoicebot = Type.Object({
  customer_no: Type.String({
    minLength: 1,
    maxLength: 40,
    description: 'Customer phone number to call (prefix 0 or use country code).',
    examples: ['09876543210'],
  }),
  wss_url: text(2048, 'Your WebSocket Secure endpoint that the call audio streams to and from.'),
  Voicechat_id: Type.Optional(
    Type.Integer({ minimum: 1, description: 'ID of the configured voice bot to use. This or wss_url is needed.' }),
  ),
  did_num: text(40, 'Your number to show as caller; default: the first of the account.'),
  did_no: text(40, 'The same as did_num.'),
  ai_agent_ext: text(32, 'Agent extension to bridge for hybrid (bot and human) routing.'),
  sip_url: text(255, 'SIP target that the bot can transfer to.'),
  connect_ws_after_answer: Type.Optional(
    Type.Boolean({
      description: 'Connect the WebSocket only after the call is answered; default: while it rings.',
      default: false,
    }),
  ),
  schedule_datetime: text(32, 'When to call, "YYYY-mm-dd H:i:s"; default: now.'),
  timezone: text(64, 'Zone of schedule_datetime, such as Asia/Kolkata.'),
  dialect: Type.Optional(Dialect),
  sttlanguage_code: text(35, 'Speech-to-text language, such as en-IN.'),
  system_msg: text(16_384, "System prompt that defines the agent's behaviour."),
  text: text(16_384, 'Opening line that the bot speaks when the call connects.'),
  wss_header: Type.Optional(
    Type.Unsafe<HeaderInput>({
      description: 'Headers for the WebSocket handshake: "Name: value", a list of these, or a map.',
      anyOf: [
        { type: 'string', maxLength: 32_768 },
        { type: 'array', maxItems: 8, items: { type: 'string' } },
        { type: 'object', maxProperties: 8, additionalProperties: { type: 'string' } },
      ],
    }),
  ),
})
export type DialByAiVoicebot = Type.Static<typeof DialByAiVoicebot>

const Dialled = Type.Object({
  status: Type.Integer({ examples: [200] }),
  message: Type.String(),
  call_id: Type.String(),
  logid: Type.Integer({ description: 'For get_call_status, from now on, also while the call is only scheduled.' }),
  recordid: Type.Integer({ description: 'The same number as logid.' }),
  schedule_id: Type.Optional(Type.String({ description: 'Of scheduled calls.' })),
})

const RING_MS = 60_000

/** What is right but not possible is refused here with the vendor's field name. */
export function dialFrom(input: DialByAiVoicebot, core: Pick<Core, 'numbers'>, botId: string | undefined): Dial {
  if (botId === undefined && input.wss_url === undefined)
    throw new DomainError('INVALID', 'wss_url or Voicechat_id is required', { field: 'wss_url' })
  const did = input.did_num ?? input.did_no
  const { customer_no, ai_agent_ext, sip_url, timezone } = input
  if (sip_url !== undefined && !/^sips?:[^\s<>"\\\x00-\x1f\x7f]+$/i.test(sip_url))
    throw new DomainError('INVALID', 'sip_url must be a SIP URI', { field: 'sip_url' })
  if (ai_agent_ext !== undefined && !/^[0-9*#]{2,20}$/.test(ai_agent_ext))
    throw new DomainError('INVALID', 'ai_agent_ext must be an extension', { field: 'ai_agent_ext' })
  return {
    to: e164(core, customer_no, 'customer_no'),
    from: did === undefined ? undefined : e164(core, did, 'did_num'),
    bot: {
      id: botId,
      url: input.wss_url,
      headers: input.wss_header === undefined ? undefined : parseHeaders(input.wss_header),
      dialect: input.dialect,
      systemMsg: input.system_msg,
      language: input.sttlanguage_code,
      text: input.text,
    },
    custom: present({ customer_no, voicechat_id: input.Voicechat_id, ai_agent_ext, sip_url }),
    startFacts: present({ customer_no, ai_agent_ext, timezone }),
    connectAfterAnswer: input.connect_ws_after_answer ?? false,
    ringTimeoutMs: RING_MS,
    // An extension is known to the PBX behind the trunk alone: it is dialled there as it is.
    defaultTarget: sip_url ?? ai_agent_ext,
  }
}

export const placedView = ({ callId, logId }: PlacedCall): Type.Static<typeof Dialled> => ({
  status: 200,
  message: 'Call initiated successfully',
  call_id: callId,
  logid: logId,
  recordid: logId,
})

export const scheduledView = ({ id, callId, logId }: ScheduledCall): Type.Static<typeof Dialled> => ({
  status: 200,
  message: 'Call scheduled successfully',
  call_id: callId,
  logid: logId,
  recordid: logId,
  schedule_id: id,
})

function e164(core: Pick<Core, 'numbers'>, raw: string, field: string): string {
  const number = core.numbers.normalise(raw)
  if (number === undefined) throw new DomainError('INVALID', `${field} is not a phone number`, { field })
  return number
}

const present = (fields: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))

export const voicebots = [
  row({
    op: 'ivr.aivoicebot.dial',
    method: 'POST',
    url: '/api/dial_by_aivoicebot',
    summary: 'Call a customer with an AI voice bot',
    description:
      'Places a call whose audio streams to your WebSocket. An Idempotency-Key header makes a repeat of the request ' +
      'return the first reply instead of dialling again.',
    right: 'write',
    bucket: 'dial',
    envelope: 'numeric',
    input: DialByAiVoicebot,
    reply: { 200: Dialled },
    handle: ({ input, principal, header }, core) =>
      once(core, principal, {
        op: 'ivr.aivoicebot.dial',
        key: header('idempotency-key'),
        input,
        run: async (callId) => [200, await dialOrSchedule(core, principal, input, callId)] as const,
        answerFor: ({ id, logId }) => [200, placedView({ callId: id, logId })] as const,
      }),
  }),
]

async function dialOrSchedule(
  core: Core,
  ctx: AccountContext,
  input: DialByAiVoicebot,
  callId: string,
): Promise<Type.Static<typeof Dialled>> {
  const { Voicechat_id, schedule_datetime, timezone = core.settings.defaultZone } = input
  const bot = Voicechat_id === undefined ? undefined : await core.bots.findByPublicNo(ctx, Voicechat_id)
  if (Voicechat_id !== undefined && !bot)
    throw new DomainError('NOT_FOUND', `There is no voice bot ${Voicechat_id}.`, { field: 'Voicechat_id' })
  const dial = dialFrom(input, core, bot?.id)
  if (schedule_datetime === undefined) return placedView(await inVendorWords(dialNow(core, ctx, dial, callId)))
  const atMs = core.schedules.parse(schedule_datetime, timezone)
  return scheduledView(await inVendorWords(dialLater(core, ctx, dial, atMs, callId)))
}

const VENDOR_FIELDS: Readonly<Record<string, string>> = { url: 'wss_url', headers: 'wss_header' }

/** The core speaks of a bot's url; this caller wrote wss_url. */
async function inVendorWords<T>(result: Promise<T>): Promise<T> {
  try {
    return await result
  } catch (err) {
    const field = err instanceof DomainError && err.field !== undefined ? VENDOR_FIELDS[err.field] : undefined
    if (!(err instanceof DomainError) || field === undefined) throw err
    const message = err.message.startsWith(field) ? err.message : `${field}: ${err.message}`
    throw new DomainError(err.code, message, { field, cause: err })
  }
}
