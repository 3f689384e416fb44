/** The SIP stack's public face for those who make calls without trunks (load, demo). The trunk side is gateway.ts. */
export { UserAgent, type PingResult, type PingTarget, type UserAgentOptions } from './user-agent.ts'
export type {
  Credentials,
  InviteOptions,
  InviteSession,
  SessionCause,
  SessionEnd,
  SessionEvents,
  SessionSettings,
  SessionState,
} from './dialog/session.ts'
export type { Codec, MediaEndpoint, MediaPreferences, NegotiatedMedia } from './sdp/negotiate.ts'
