/** Bots and numbers of a running test server, set as an operator sets them: by the admin API. */
import { expect } from 'vitest'
import type { Json } from '../fakes/bot.ts'
import type { TestServer } from './server.ts'

/** A bot and a number that leads to it; returns the bot's id. */
export async function numberWithBot(t: TestServer, number: string, bot: Json, record = false): Promise<string> {
  const account = `/admin/v1/accounts/${t.accountId}`
  const trunks = await t.admin('GET', `${account}/trunks`)
  const trunkId = (trunks.body.data as Json[])[0].id
  const made = await t.admin('POST', `${account}/bots`, { name: `bot of ${number}`, ...bot })
  expect(made, JSON.stringify(made.body)).toMatchObject({ status: 201 })
  const set = await t.admin('POST', `${account}/numbers`, {
    number,
    trunkId,
    action: 'bot',
    botId: made.body.id,
    record,
  })
  expect(set, JSON.stringify(set.body)).toMatchObject({ status: 201 })
  return made.body.id as string
}

/** The newest call of the account from or to this number, as the admin API shows it. */
export async function callWith(t: TestServer, number: string): Promise<Json | undefined> {
  const query = `limit=1&number=${encodeURIComponent(number)}`
  const { body } = await t.admin('GET', `/admin/v1/accounts/${t.accountId}/calls?${query}`)
  return (body.data as Json[])[0]
}
