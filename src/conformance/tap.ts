/**
 * A dialect with a witness: everything that goes through it, both ways, is seen in the words of bot/dialect.ts. Changes
 * nothing on the wire.
 *
 *   bot ──frame──▶ [ dialect ] ──BotMessage──▶ tap ──▶ session ──BridgeMessage──▶ tap ──▶ [ dialect ] ──frame──▶ bot
 */
import type { BotMessage, BridgeMessage, DialectKind } from '../bot/dialect.ts'

export interface Tap {
  /** A socket is open. `write` puts a text frame on it past the dialect. */
  opened(write: (text: string) => void): void
  /** From the bot; the bytes of audio are borrowed. */
  said(message: BotMessage): void
  /** To the bot. */
  told(message: BridgeMessage): void
}

export function tapped(kind: DialectKind, tap: Tap): DialectKind {
  return {
    subprotocols: kind.subprotocols,
    audio: (configured, url) => kind.audio(configured, url),
    headers: (handshake) => kind.headers(handshake),
    create(options) {
      const dialect = kind.create(options)
      tap.opened((text) => options.wire.text(text))
      return {
        decode(frame, isBinary) {
          const messages = dialect.decode(frame, isBinary)
          if (Array.isArray(messages)) for (const message of messages) tap.said(message)
          else if (messages) tap.said(messages)
          return messages
        },
        tell(message, tsMs) {
          tap.told(message)
          dialect.tell(message, tsMs)
        },
        media: (frame, tsMs) => dialect.media(frame, tsMs),
        get lastSeq() {
          return dialect.lastSeq
        },
      }
    },
  }
}
