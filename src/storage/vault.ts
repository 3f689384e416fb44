import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/**
 * The installation's secret key, and what is made with it: digests of API keys (HMAC-SHA-256, the key as pepper) and
 * sealed secrets of trunks and bots (AES-256-GCM). It lives in the data directory and not in the database, so that a
 * copy of the database alone opens nothing; nodes that share a database need the same file.
 */
export class Vault {
  readonly #pepper: Buffer
  readonly #sealing: Buffer
  /** Tells whether a database was written with this key. */
  readonly fingerprint: string

  constructor(secret: Uint8Array) {
    const derive = (purpose: string): Buffer => Buffer.from(hkdfSync('sha256', secret, '', `trunkline ${purpose}`, 32))
    this.#pepper = derive('key digests')
    this.#sealing = derive('sealed values')
    this.fingerprint = derive('fingerprint').toString('hex').slice(0, 16)
  }

  /** Reads `secret.key`, or makes it at the first start. */
  static open(dataDir: string): Vault {
    const path = join(dataDir, 'secret.key')
    if (!existsSync(path)) writeFileSync(path, `${randomBytes(32).toString('hex')}\n`, { flag: 'wx', mode: 0o600 })
    const secret = Buffer.from(readFileSync(path, 'utf8').trim(), 'hex')
    if (secret.length !== 32) throw new Error(`${path} must hold 64 hex digits`)
    return new Vault(secret)
  }

  digest(text: string): string {
    return createHmac('sha256', this.#pepper).update(text).digest('hex')
  }

  /** `place` (table and row) is bound in: a sealed value copied to another row does not open there. */
  seal(value: unknown, place: string): string {
    const nonce = randomBytes(12)
    const cipher = createCipheriv('aes-256-gcm', this.#sealing, nonce).setAAD(Buffer.from(place))
    const body = Buffer.concat([cipher.update(JSON.stringify(value), 'utf8'), cipher.final()])
    return Buffer.concat([nonce, cipher.getAuthTag(), body]).toString('base64')
  }

  open(sealed: string, place: string): unknown {
    const bytes = Buffer.from(sealed, 'base64')
    const decipher = createDecipheriv('aes-256-gcm', this.#sealing, bytes.subarray(0, 12))
    decipher.setAAD(Buffer.from(place)).setAuthTag(bytes.subarray(12, 28))
    return JSON.parse(decipher.update(bytes.subarray(28), undefined, 'utf8') + decipher.final('utf8'))
  }
}
