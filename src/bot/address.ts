/** The address that a bot is dialled at: templates filled in. */

/** Facts that an address may name as `{call_id}`; the rest of `start` has no business in other people's access logs. */
const TEMPLATE_FACTS = new Set(['call_id', 'account_id', 'voicechat_id', 'direction', 'from', 'to'])

export function fillTemplate(url: string, facts: Record<string, unknown>): string {
  return url.replace(/\{([a-z_]+)\}/g, (whole, name: string) => {
    const value = facts[name]
    if (!TEMPLATE_FACTS.has(name) || (typeof value !== 'string' && typeof value !== 'number')) return whole
    return encodeURIComponent(value)
  })
}
