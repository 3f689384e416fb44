import { sql, type Kysely } from 'kysely'

/** Never edited once released: a change is a new file. Every tenant row carries account_id. */
const STATEMENTS = [
  `create table instance_values (name text primary key, value text not null)`,
  `create table accounts (id text primary key, name text not null, created_at timestamptz not null)`,

  `create table api_keys (
    id text primary key,
    account_id text not null references accounts,
    name text not null,
    prefix text not null unique,
    digest text not null,
    rights text[] not null,
    scope text not null,
    project_id text,
    created_at timestamptz not null,
    expires_at timestamptz,
    revoked_at timestamptz,
    last_used_at timestamptz)`,
  `create index api_keys_of_account on api_keys (account_id, created_at)`,

  // (account_id, id) is unique so that a row can only refer to rows of its own account.
  `create table trunks (
    id text primary key,
    account_id text not null references accounts,
    settings jsonb not null,
    sealed text not null,
    created_at timestamptz not null default now(),
    unique (account_id, id))`,
  `create table bots (
    id text primary key,
    account_id text not null references accounts,
    public_no bigint generated always as identity unique,
    settings jsonb not null,
    sealed text not null,
    created_at timestamptz not null,
    unique (account_id, id))`,
  `create table numbers (
    id text primary key,
    account_id text not null references accounts,
    number text not null,
    trunk_id text not null,
    action text not null,
    bot_id text,
    record boolean not null,
    created_at timestamptz not null,
    unique (account_id, number),
    foreign key (account_id, trunk_id) references trunks (account_id, id),
    foreign key (account_id, bot_id) references bots (account_id, id))`,
  `create index numbers_on_trunk on numbers (trunk_id)`,

  // No foreign keys from calls: what has happened is recorded whatever has become of the configuration.
  `create table calls (
    id text primary key,
    account_id text not null,
    log_id bigint not null unique,
    node_id text not null,
    seq integer not null,
    direction text not null,
    state text not null,
    result text,
    from_number text not null,
    to_number text not null,
    remote_reversed text not null,
    trunk_id text not null,
    number_id text,
    bot_id text,
    created_at timestamptz not null,
    answered_at timestamptz,
    ended_at timestamptz,
    last_event_at timestamptz not null,
    record jsonb not null)`,
  `create index calls_of_account on calls (account_id, created_at desc, id desc)`,
  `create index calls_of_remote on calls (account_id, remote_reversed text_pattern_ops)`,
  `create index calls_open on calls (node_id) where state <> 'ended'`,

  `create table call_events (
    call_id text not null,
    seq integer not null,
    account_id text not null,
    at timestamptz not null,
    type text not null,
    event jsonb not null,
    primary key (call_id, seq))`,

  `create table recordings (
    id text primary key,
    account_id text not null,
    call_id text not null,
    node_id text not null,
    status text not null,
    started_at timestamptz not null,
    finished_at timestamptz,
    duration_ms integer,
    bytes bigint,
    failure text)`,
  `create index recordings_of_account on recordings (account_id, started_at desc)`,
  `create index recordings_of_call on recordings (call_id)`,
  `create index recordings_unfinished on recordings (node_id) where status = 'capturing'`,

  `create table scheduled_calls (
    id text primary key,
    account_id text not null,
    call_id text not null unique,
    log_id bigint not null unique,
    at timestamptz not null,
    status text not null,
    sealed text not null,
    failure text,
    claimed_by text,
    created_at timestamptz not null)`,
  `create index scheduled_calls_of_account on scheduled_calls (account_id, at)`,
  `create index scheduled_calls_open on scheduled_calls (status, account_id) where status in ('pending', 'firing')`,

  `create table idempotency_keys (
    account_id text not null,
    op text not null,
    key text not null,
    body_digest text not null,
    node_id text not null,
    call_id text,
    status text not null,
    reply jsonb,
    created_at timestamptz not null,
    primary key (account_id, op, key))`,
  `create index idempotency_keys_by_age on idempotency_keys (created_at)`,

  `create table journal_positions (node_id text primary key, segment integer not null, byte_offset bigint not null)`,
  // One nextval reserves a thousand numbers for a node (log-ids.ts).
  `create sequence call_log_ids start 1 increment 1000`,
]

export const base = {
  async up(db: Kysely<unknown>): Promise<void> {
    for (const statement of STATEMENTS) await sql.raw(statement).execute(db)
  },
}
