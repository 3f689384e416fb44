/**
 * Reliable provisional answers as UAC (RFC 3262 §4): in order, each acknowledged once by PRACK, every fork with numbers
 * and a dialog of its own. As UAS we send none (an INVITE that requires 100rel gets 420).
 */
import type { SipRequest, SipResponse } from '../message/message.ts'
import type { Dialog } from './dialog.ts'
import { seqOf, setSdp, type DialogClient } from './dialog-client.ts'

export class ReliableProvisionals {
  readonly #client: DialogClient
  readonly #last = new Map<string, number>()

  constructor(client: DialogClient) {
    this.#client = client
  }

  /** Undefined: not a reliable one. 'skip': a repeat, or one ahead of its turn, which comes again in order. */
  seen(tag: string, response: SipResponse): number | 'skip' | undefined {
    const required = response.headers.all('Require').some((v) => /(^|[\s,])100rel([\s,]|$)/i.test(v))
    const rseq = Number(response.headers.get('RSeq') ?? NaN)
    if (!required || !Number.isInteger(rseq) || rseq < 0) return undefined
    const last = this.#last.get(tag)
    if (last !== undefined && rseq !== last + 1) return 'skip'
    this.#last.set(tag, rseq)
    return rseq
  }

  acknowledge(dialog: Dialog, rseq: number, invite: SipRequest, answer: string | undefined): void {
    this.#client.send(
      dialog,
      'PRACK',
      (request) => {
        request.headers.add('RAck', `${rseq} ${seqOf(invite)} INVITE`)
        if (answer !== undefined) setSdp(request, answer)
      },
      // A PRACK that fails costs the early dialog at most; the final answer decides.
      () => undefined,
    )
  }

  reset(): void {
    this.#last.clear()
  }
}
