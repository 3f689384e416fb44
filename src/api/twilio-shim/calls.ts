/** The Call resource as far as bots use it: https://www.twilio.com/docs/voice/api/call-resource. */
import { Type } from '@fastify/type-provider-typebox'
import { DateTime } from 'luxon'
import type { AccountContext } from '../../accounts/ports.ts'
import type { CallState } from '../../calls/machine.ts'
import type { Outcome, Result } from '../../calls/outcome.ts'
import { durationSeconds, type CallRecord } from '../../calls/record.ts'
import { DomainError } from '../../lib/errors.ts'
import { accountSid, callIdOfSid, callSid } from '../../lib/sids.ts'
import type { Core } from '../core.ts'
import { row } from '../route.ts'
import { TwilioProblem } from './errors.ts'
import { MAX_TWIML, parseTwiml, type Instruction } from './twiml.ts'

const Nullable = <T extends Type.TSchema>(schema: T) => Type.Union([schema, Type.Null()])
const Time = Type.String({ description: 'RFC 2822, UTC.', examples: ['Mon, 11 May 2026 14:02:14 +0000'] })

const STATUSES = ['queued', 'ringing', 'in-progress', 'completed', 'busy', 'failed', 'no-answer', 'canceled'] as const
type Status = (typeof STATUSES)[number]

const CallView = Type.Object({
  sid: Type.String({ examples: ['CA0193f4ba12347c009e3d000000000003'] }),
  account_sid: Type.String({ examples: ['AC0193f4a000007000800000000000000a'] }),
  api_version: Type.Literal('2010-04-01'),
  status: Type.Enum(STATUSES),
  direction: Type.Union([Type.Literal('inbound'), Type.Literal('outbound-api')]),
  from: Type.String(),
  from_formatted: Type.String(),
  to: Type.String(),
  to_formatted: Type.String(),
  duration: Nullable(Type.String({ description: 'Seconds from the answer; null while live and when never answered.' })),
  date_created: Time,
  date_updated: Time,
  start_time: Nullable(Time),
  end_time: Nullable(Time),
  answered_by: Type.Null(),
  annotation: Type.Null(),
  caller_name: Type.Null(),
  forwarded_from: Type.Null(),
  group_sid: Type.Null(),
  parent_call_sid: Type.Null(),
  phone_number_sid: Type.Null(),
  price: Type.Null(),
  price_unit: Type.Null(),
  queue_time: Type.String(),
  trunk_sid: Type.Null(),
  subresource_uris: Type.Object({}),
  uri: Type.String(),
})
export type TwilioCall = Type.Static<typeof CallView>

const LIVE: Readonly<Record<Exclude<CallState, 'ended'>, Status>> = {
  queued: 'queued',
  dialing: 'queued',
  ringing: 'ringing',
  answered: 'in-progress',
  talking: 'in-progress',
  transferring: 'in-progress',
  bridged: 'in-progress',
}
const ENDED: Readonly<Record<Result, Status>> = {
  completed: 'completed',
  busy: 'busy',
  no_answer: 'no-answer',
  rejected: 'failed',
  failed: 'failed',
  cancelled: 'canceled',
}
// A callee who declines (603) is busy at Twilio; a carrier that refuses (403) is a failure.
const endedStatus = ({ result, sipStatus }: Outcome): Status =>
  result === 'rejected' && sipStatus === 603 ? 'busy' : ENDED[result]

export function callView(call: CallRecord): TwilioCall {
  const { direction, from, to, createdAtMs, dialedAtMs, ringingAtMs, answeredAtMs, botOpenAtMs, endedAtMs } = call
  const answered = answeredAtMs !== undefined
  const sids = { account: accountSid(call.accountId), call: callSid(call.id) }
  const changedAtMs = [dialedAtMs, ringingAtMs, answeredAtMs, botOpenAtMs, call.bridgedAtMs, endedAtMs]
  const seconds = answered ? durationSeconds(call) : null
  return {
    sid: sids.call,
    account_sid: sids.account,
    api_version: '2010-04-01',
    status: call.state === 'ended' ? (call.outcome ? endedStatus(call.outcome) : 'completed') : LIVE[call.state],
    direction: direction === 'inbound' ? 'inbound' : 'outbound-api',
    from,
    from_formatted: from,
    to,
    to_formatted: to,
    duration: seconds === null ? null : String(seconds),
    date_created: time(createdAtMs),
    date_updated: time(Math.max(createdAtMs, ...changedAtMs.filter((ms) => ms !== undefined))),
    start_time: maybeTime(direction === 'inbound' ? createdAtMs : dialedAtMs),
    end_time: maybeTime(endedAtMs),
    answered_by: null,
    annotation: null,
    caller_name: null,
    forwarded_from: null,
    group_sid: null,
    parent_call_sid: null,
    phone_number_sid: null,
    price: null,
    price_unit: null,
    queue_time: '0',
    trunk_sid: null,
    subresource_uris: {},
    uri: `/2010-04-01/Accounts/${sids.account}/Calls/${sids.call}.json`,
  }
}

const time = (ms: number): string => DateTime.fromMillis(ms, { zone: 'utc' }).toRFC2822()!
const maybeTime = (ms: number | undefined): string | null => (ms === undefined ? null : time(ms))

const Update = Type.Object({
  Status: Type.Optional(
    Type.String({
      maxLength: 20,
      description: 'completed: hangs up. canceled: ends a call that is not answered yet, and leaves others alone.',
      examples: ['completed'],
    }),
  ),
  Twiml: Type.Optional(
    Type.String({
      maxLength: MAX_TWIML,
      description:
        'One of <Dial> (a number, <Number> or <Sip>; callerId, timeout), <Refer><Sip>, <Hangup/>, <Reject/>; <Hangup/> ' +
        'may follow. Other attributes are ignored, other verbs and nouns refused.',
      examples: ['<Response><Dial callerId="+911143104567">+919876543210</Dial></Response>'],
    }),
  ),
  Url: Type.Optional(Type.String({ maxLength: 8192, description: 'Refused: send Twiml instead.' })),
  ApplicationSid: Type.Optional(Type.String({ maxLength: 64, description: 'Refused: send Twiml instead.' })),
})

const ByCall = Type.Object({
  accountSid: Type.String({
    maxLength: 64,
    description: 'AccountSid of the stream’s start message, or the account’s id.',
  }),
  callSid: Type.String({ maxLength: 64, description: 'CallSid of the stream’s start message, or the call’s id.' }),
})

/** The call of the path, if it is one of the account that asks. */
async function callOf(
  core: Pick<Core, 'reads'>,
  ctx: AccountContext,
  params: Type.Static<typeof ByCall>,
): Promise<CallRecord> {
  if (!isAccount(params.accountSid, ctx.accountId)) throw new DomainError('NOT_FOUND')
  const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(params.callSid)
  const callId = uuid ? params.callSid.toLowerCase() : callIdOfSid(params.callSid)
  if (callId === undefined) throw new DomainError('NOT_FOUND')
  return core.reads.get(ctx.accountId, callId)
}

export const isAccount = (text: string, accountId: string): boolean =>
  text === accountId || text.toLowerCase() === accountSid(accountId).toLowerCase()

const UNANSWERED: readonly CallState[] = ['queued', 'dialing', 'ringing']

/** Does what `Status` says. */
function setStatus(core: Core, call: CallRecord, status: string): void {
  if (status !== 'completed' && status !== 'canceled')
    throw new TwilioProblem(
      'badParameter',
      `Status ${JSON.stringify(status)} is not supported: use completed or canceled`,
    )
  // As Twilio answers it, and as clients expect who hang up a call that the caller has just left.
  if (call.state === 'ended') throw new DomainError('NOT_FOUND')
  if (status === 'completed' || UNANSWERED.includes(call.state)) core.calls.hangup(call.accountId, call.id)
}

/** Does what the document says. */
function follow(core: Core, call: CallRecord, instruction: Instruction): void {
  const { accountId, id, state } = call
  if (state === 'ended') throw new TwilioProblem('invalidCallState', 'Call is not in-progress. Cannot redirect.')
  switch (instruction.do) {
    case 'hangup':
      return core.calls.hangup(accountId, id)
    case 'reject':
      if (!UNANSWERED.includes(state))
        throw new TwilioProblem('invalidCallState', 'Call is answered. Cannot reject; use <Hangup>.')
      return core.calls.hangup(accountId, id, REJECTIONS[instruction.reason])
    case 'transfer': {
      if (UNANSWERED.includes(state))
        throw new TwilioProblem('invalidCallState', 'Call is not in-progress. Cannot redirect.')
      const { do: _transfer, callerId, target, ...rest } = instruction
      return core.calls.transfer(accountId, id, {
        ...rest,
        target: /^[a-z]/i.test(target) ? target : (core.numbers.normalise(target) ?? target),
        callerId: callerId === undefined ? undefined : callerIdOf(core, callerId),
        // TwiML's own rule: where a document ends, the call ends.
        onFail: 'hangup',
      })
    }
  }
}

// RFC 3261 §21.4.24 and §21.6.2 with their Q.850 causes (RFC 3398 §8.2.6.1).
const REJECTIONS = { busy: { sipStatus: 486, q850: 17 }, rejected: { sipStatus: 603, q850: 21 } } as const

function callerIdOf(core: Pick<Core, 'numbers'>, text: string): string {
  const number = core.numbers.normalise(text)
  if (number === undefined)
    throw new TwilioProblem(
      'dialCallerId',
      `Dial: callerId ${JSON.stringify(text.slice(0, 100))} is not a phone number`,
    )
  return number
}

const URL = '/2010-04-01/Accounts/:accountSid/Calls/:callSid.json'

export const calls = [
  row({
    op: 'twilio.calls.get',
    method: 'GET',
    url: URL,
    summary: 'Fetch a call',
    right: 'read',
    params: ByCall,
    reply: { 200: CallView },
    handle: async ({ params, principal }, core) => [200, callView(await callOf(core, principal, params))],
  }),
  row({
    op: 'twilio.calls.update',
    method: 'POST',
    url: URL,
    summary: 'Hang up or redirect a call',
    description:
      'What Twilio-style bots do to a running call. A transfer keeps the bot on the line until the target answers; when ' +
      'it fails, the call ends, as a document that ends does at Twilio.',
    right: 'write',
    params: ByCall,
    body: Update,
    reply: { 200: CallView },
    handle: async ({ params, principal, body }, core) => {
      const call = await callOf(core, principal, params)
      const { Status, Twiml, Url, ApplicationSid } = body
      if (Url !== undefined || ApplicationSid !== undefined)
        throw new TwilioProblem('invalidUrl', 'Documents are not fetched here: send the TwiML itself in Twiml')
      if (Status !== undefined && Twiml !== undefined)
        throw new TwilioProblem('badParameter', 'Status and Twiml exclude each other')
      if (Status !== undefined) setStatus(core, call, Status)
      else if (Twiml !== undefined) follow(core, call, parseTwiml(Twiml))
      else throw new TwilioProblem('noInstructions', 'Status or Twiml is required')
      return [200, callView(await callOf(core, principal, params))]
    },
  }),
]
