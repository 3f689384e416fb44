import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client'

/**
 * Every metric of the program, declared once. Durations are in seconds, sizes in bytes. The audio path counts into
 * plain numbers and is read out here by snapshot when a leg closes; nothing below is called per packet.
 */
export const registry = new Registry()

export const startProcessMetrics = (): void => collectDefaultMetrics({ register: registry })

const counter = <L extends string>(name: string, help: string, labelNames: L[] = []): Counter<L> =>
  new Counter({ name: `trunkline_${name}`, help, labelNames, registers: [registry] })
const gauge = <L extends string>(name: string, help: string, labelNames: L[] = []): Gauge<L> =>
  new Gauge({ name: `trunkline_${name}`, help, labelNames, registers: [registry] })
const histogram = <L extends string>(
  name: string,
  help: string,
  buckets: number[],
  labelNames: L[] = [],
): Histogram<L> => new Histogram({ name: `trunkline_${name}`, help, labelNames, buckets, registers: [registry] })

const SETUP_SECONDS = [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 60]
const SHORT_SECONDS = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3]

export const metrics = {
  // Calls
  callsActive: gauge('calls_active', 'Calls that have not ended.', ['direction']),
  callsTotal: counter('calls_total', 'Calls ended, by result and reason.', ['direction', 'result', 'reason']),
  callsRejected: counter('calls_rejected_total', 'Incoming calls refused, by the rule that failed.', ['reason']),
  callSetup: histogram('call_setup_seconds', 'INVITE to answer.', SETUP_SECONDS, ['direction']),
  callDuration: histogram('call_duration_seconds', 'Answer to end.', [1, 5, 15, 30, 60, 180, 600, 1800, 3600]),

  // SIP
  sipDropped: counter('sip_dropped_total', 'Datagrams and messages dropped before any call.', ['reason']),
  sipRequests: counter('sip_requests_total', 'Requests received.', ['method']),
  sipResponses: counter('sip_responses_total', 'Final responses received to our requests.', ['method', 'class']),
  sipRetransmits: counter('sip_retransmits_total', 'Messages sent again by a timer.', ['kind']),
  trunkUp: gauge('trunk_up', '1 while the trunk answers OPTIONS (or is not pinged).', ['trunk']),

  // Media
  rtpPackets: counter('rtp_packets_total', 'RTP packets of ended legs.', ['direction', 'kind']),
  rtpJitter: histogram('rtp_jitter_seconds', 'Interarrival jitter of ended legs (RFC 3550 §6.4.1).', SHORT_SECONDS),
  rtpPortsInUse: gauge('rtp_ports_in_use', 'RTP port pairs open or in quarantine.', ['state']),
  mediaLoopDelay: gauge('media_loop_delay_seconds', 'Worst lateness of the playout loop since the last scrape.', [
    'worker',
  ]),
  mediaWorkerRestarts: counter('media_worker_restarts_total', 'Media workers that died and were started again.'),

  // Bots
  botConnect: histogram('bot_ws_connect_seconds', 'WebSocket handshake with the bot.', SETUP_SECONDS),
  botSessions: counter('bot_sessions_total', 'Bot sessions ended, by how.', ['end']),
  botDroppedMs: counter('bot_dropped_ms_total', 'Caller audio not delivered to slow bots, ms.'),
  botCaughtUpMs: counter('bot_caught_up_ms_total', 'Audio of streaming bots skipped after a stall, ms.'),
  botReconnects: counter('bot_reconnects_total', 'Bot sockets opened again after a loss.'),
  botErrors: counter('bot_errors_total', 'Non-fatal errors told to bots.', ['code']),
  firstAudio: histogram('first_audio_seconds', 'Answer to the first bot audio on the wire.', SHORT_SECONDS),

  // Recordings, storage, API
  recordingBytes: counter('recording_bytes_total', 'Bytes of finished recordings.'),
  recordings: counter('recordings_total', 'Recordings by how they ended.', ['result']),
  journalLag: gauge('journal_lag_events', 'Journalled events not yet in the database.'),
  journalWrite: histogram('journal_write_seconds', 'One group commit of the journal.', SHORT_SECONDS),
  httpRequests: histogram('http_request_seconds', 'REST requests.', SHORT_SECONDS, ['op', 'status']),
} as const
