/** What is looked at in a bot, each with its verdict: the words of the report. */

export const RULES = {
  connects: 'opens the WebSocket',
  start: 'lives through start',
  answers: 'speaks to the caller',
  'barge-in': 'stops when the caller speaks',
  unknown: 'ignores what it does not know',
  silence: 'stays through silence',
  resumes: 'takes a second connection',
  dtmf: 'takes a key press',
  stop: 'ends after stop',
  signature: 'refuses a wrong signature',
  format: 'sends audio in the agreed format',
  understood: 'sends nothing that is wrong',
  marks: 'uses marks properly',
  pong: 'answers WebSocket pings',
  reads: 'reads as fast as audio comes',
} as const
export type Rule = keyof typeof RULES

/** 'info': there was nothing to judge. */
export type Verdict = 'pass' | 'warn' | 'fail' | 'info'

export interface Result {
  rule: Rule
  verdict: Verdict
  detail: string
}

export interface Report {
  url: string
  dialect: string
  /** No rule failed. */
  passed: boolean
  tookMs: number
  results: Result[]
}

/** A finding without its rule. */
export type Finding = [verdict: Verdict, detail: string]

export const seconds = (ms: number): string => (ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`)
