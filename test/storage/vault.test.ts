import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { Vault } from '../../src/storage/vault.ts'

describe('the vault', () => {
  const vault = new Vault(new Uint8Array(32).fill(7))

  it('opens what it sealed, and only in the place that it was sealed for', () => {
    const sealed = vault.seal({ password: 'söcret' }, 'trunks/1')
    expect(sealed).not.toContain('cret')
    expect(vault.open(sealed, 'trunks/1')).toEqual({ password: 'söcret' })
    expect(() => vault.open(sealed, 'trunks/2')).toThrow()
    expect(() => new Vault(new Uint8Array(32)).open(sealed, 'trunks/1')).toThrow()
  })

  it('keeps its key in the data directory, for the owner alone', () => {
    const dir = mkdtempSync(join(tmpdir(), 'trunkline-vault-'))
    const first = Vault.open(dir)
    expect(statSync(join(dir, 'secret.key')).mode & 0o777).toBe(0o600)
    expect(Vault.open(dir).digest('x')).toBe(first.digest('x'))
    expect(first.digest('x')).not.toBe(vault.digest('x'))
    writeFileSync(join(dir, 'secret.key'), 'short')
    expect(() => Vault.open(dir)).toThrow('64 hex digits')
    rmSync(dir, { recursive: true })
  })
})
