//! What can go wrong in the books, and what the checker must say of it.

/// A fault, and what the checker must say about it.
pub struct Fault {
    /// The rule that must be broken.
    pub problem: &'static str,
    /// What goes wrong.
    pub plant: &'static str,
    /// Query of the id that must be named.
    pub subject: &'static str,
    /// Rules that the same fault breaks too.
    pub also: &'static [&'static str],
}

const OPEN: &str = "SELECT id FROM holds WHERE state = 'open'";
const SETTLED: &str = "SELECT id FROM holds WHERE state = 'settled' ORDER BY created_at LIMIT 1";
const CONVERSATION: &str = "SELECT id FROM holds WHERE purpose = 'conversation'";
const WALLET: &str = "SELECT id FROM wallets WHERE held > 0";
const GRANT: &str = "SELECT id FROM grants WHERE held > 0";
const LAST_ENTRY: &str = "SELECT id FROM ledger_entries ORDER BY revision DESC LIMIT 1";

pub const FAULTS: &[Fault] = &[
    Fault {
        problem: "grant_differs_from_entries",
        plant: "UPDATE grants SET amount = amount + 1, available = available + 1; UPDATE wallets SET available = available + 1",
        subject: GRANT,
        also: &[],
    },
    Fault {
        problem: "grant_differs_from_entries",
        plant: "DELETE FROM ledger_entries WHERE kind = 'settle' AND hold_id = (SELECT id FROM holds WHERE state = 'settled' ORDER BY created_at LIMIT 1)",
        subject: GRANT,
        also: &["charge_differs_from_ledger", "entry_chain_broken", "hold_differs_from_entries", "wallet_revision_differs"],
    },
    Fault {
        problem: "wallet_differs_from_grants",
        plant: "UPDATE wallets SET available = available + 1",
        subject: WALLET,
        also: &[],
    },
    Fault {
        problem: "wallet_differs_from_grants",
        plant: "UPDATE wallets SET held = held - 1 WHERE held > 0",
        subject: WALLET,
        also: &[],
    },
    Fault {
        problem: "held_differs_from_open_holds",
        plant: "UPDATE hold_draws SET held = held + 1 WHERE grant_id IS NOT NULL AND hold_id = (SELECT id FROM holds WHERE state = 'open')",
        subject: GRANT,
        also: &["charge_differs_from_ledger", "hold_differs_from_entries"],
    },
    Fault {
        problem: "entry_chain_broken",
        plant: "UPDATE ledger_entries SET balance_after = balance_after + 1 WHERE id = (SELECT id FROM ledger_entries ORDER BY revision DESC LIMIT 1)",
        subject: LAST_ENTRY,
        also: &[],
    },
    Fault {
        problem: "entry_chain_broken",
        plant: "UPDATE ledger_entries SET revision = revision + 1 WHERE id = (SELECT id FROM ledger_entries ORDER BY revision DESC LIMIT 1)",
        subject: LAST_ENTRY,
        also: &[],
    },
    Fault {
        problem: "wallet_revision_differs",
        plant: "UPDATE wallets SET revision = revision + 1",
        subject: WALLET,
        also: &[],
    },
    Fault {
        problem: "entry_in_foreign_wallet",
        plant: "UPDATE ledger_entries SET account_id = gen_random_uuid() WHERE id = (SELECT id FROM ledger_entries ORDER BY revision DESC LIMIT 1)",
        subject: LAST_ENTRY,
        also: &[],
    },
    Fault {
        problem: "hold_differs_from_entries",
        plant: "UPDATE hold_draws SET spent = spent - 1 WHERE grant_id IS NOT NULL AND hold_id = (SELECT id FROM holds WHERE state = 'settled' ORDER BY created_at LIMIT 1)",
        subject: SETTLED,
        also: &["draw_differs_from_usage"],
    },
    Fault {
        problem: "hold_differs_from_entries",
        plant: "UPDATE holds SET state = 'open', resolved_at = NULL WHERE id = (SELECT id FROM holds WHERE state = 'settled' ORDER BY created_at LIMIT 1)",
        subject: "SELECT id FROM holds WHERE state = 'open' ORDER BY created_at LIMIT 1",
        also: &["counter_differs_from_draws", "deployment_differs_from_draws", "draw_differs_from_usage", "held_differs_from_open_holds", "hold_and_generation_disagree"],
    },
    Fault {
        problem: "hold_differs_from_entries",
        plant: "UPDATE holds SET state = 'released' WHERE id = (SELECT id FROM holds WHERE state = 'settled' ORDER BY created_at LIMIT 1)",
        subject: "SELECT id FROM holds WHERE state = 'released' ORDER BY created_at LIMIT 1",
        also: &["counter_differs_from_draws", "deployment_differs_from_draws", "draw_differs_from_usage"],
    },
    Fault {
        problem: "hold_without_generation",
        plant: "DELETE FROM generations WHERE id = (SELECT id FROM holds WHERE state = 'settled' ORDER BY created_at LIMIT 1)",
        subject: SETTLED,
        also: &[],
    },
    Fault {
        problem: "hold_without_generation",
        plant: "UPDATE holds SET account_id = gen_random_uuid() WHERE state = 'open'",
        subject: OPEN,
        also: &[],
    },
    Fault {
        problem: "generation_without_hold",
        plant: "DELETE FROM holds WHERE id = (SELECT id FROM holds WHERE state = 'settled' ORDER BY created_at LIMIT 1)",
        subject: "SELECT g.id FROM generations g LEFT JOIN holds h USING (id) WHERE h.id IS NULL",
        also: &["counter_differs_from_draws", "deployment_differs_from_draws"],
    },
    Fault {
        problem: "hold_and_generation_disagree",
        plant: "UPDATE generations SET status = 'failed', finished_at = loquent_now(), credits_charged = 0 WHERE finished_at IS NULL;
                UPDATE messages SET status = 'failed' WHERE status IN ('queued', 'running')",
        subject: OPEN,
        also: &[],
    },
    Fault {
        problem: "charge_differs_from_ledger",
        plant: "UPDATE generations SET credits_held = credits_held + 1 WHERE finished_at IS NULL",
        subject: OPEN,
        also: &[],
    },
    Fault {
        problem: "charge_differs_from_ledger",
        plant: "UPDATE generations SET credits_charged = credits_charged + 1 WHERE id = (SELECT id FROM holds WHERE state = 'settled' ORDER BY created_at LIMIT 1)",
        subject: SETTLED,
        also: &["charge_differs_from_usage"],
    },
    Fault {
        problem: "charge_differs_from_usage",
        plant: "UPDATE generations SET output_tokens = output_tokens + 1 WHERE id = (SELECT id FROM holds WHERE state = 'settled' ORDER BY created_at LIMIT 1)",
        subject: SETTLED,
        also: &["draw_differs_from_usage"],
    },
    Fault {
        problem: "charge_differs_from_usage",
        plant: "UPDATE generations SET cache_write_tokens = cache_write_tokens + 1 WHERE id = (SELECT id FROM holds WHERE state = 'settled' ORDER BY created_at LIMIT 1)",
        subject: SETTLED,
        also: &["draw_differs_from_usage"],
    },
    Fault {
        problem: "charge_differs_from_usage",
        plant: "UPDATE holds SET overrun = overrun + 1 WHERE id = (SELECT id FROM holds WHERE state = 'settled' ORDER BY created_at LIMIT 1)",
        subject: SETTLED,
        also: &[],
    },
    Fault {
        problem: "message_and_generation_disagree",
        plant: "UPDATE messages SET status = 'failed' WHERE id = (SELECT id FROM messages WHERE role = 'assistant' AND status = 'succeeded' ORDER BY id LIMIT 1)",
        subject: "SELECT id FROM messages WHERE role = 'assistant' AND status = 'failed' ORDER BY id LIMIT 1",
        also: &[],
    },
    Fault {
        problem: "unfinished_message_without_generation",
        plant: "UPDATE generations SET message_id = NULL WHERE finished_at IS NULL",
        subject: "SELECT id FROM messages WHERE status IN ('queued', 'running')",
        also: &[],
    },
    Fault {
        problem: "hold_of_a_dead_process",
        plant: "UPDATE replicas SET lease_until = loquent_now() - interval '61 seconds'",
        subject: OPEN,
        also: &[],
    },
    Fault {
        problem: "hold_of_a_dead_process",
        plant: "DELETE FROM replicas",
        subject: OPEN,
        also: &[],
    },
    Fault {
        problem: "grant_differs_from_entries",
        plant: "UPDATE grants SET available = available - 1, expired = expired + 1 WHERE held > 0; UPDATE wallets SET available = available - 1 WHERE held > 0",
        subject: GRANT,
        also: &[],
    },
    Fault {
        problem: "grant_differs_from_entries",
        plant: "UPDATE grants SET spent = spent - 1, revoked = revoked + 1 WHERE held > 0",
        subject: GRANT,
        also: &[],
    },
    Fault {
        problem: "expired_too_early",
        plant: "SELECT ledger_expire(id, 'infinity') FROM wallets WHERE held > 0",
        subject: LAST_ENTRY,
        also: &[],
    },
    Fault {
        problem: "taking_differs_from_entries",
        plant: "SELECT ledger_adjust('00000000-0000-7000-8000-000000000001', account_id, 'credits', -5, 'infinity', NULL, 'Taken') FROM wallets WHERE held > 0;
                UPDATE ledger_takings SET taken = taken - 1",
        subject: "SELECT id FROM ledger_takings",
        also: &[],
    },
    Fault {
        problem: "counter_differs_from_draws",
        plant: "INSERT INTO quota_counters (id, account_id, meter, window_kind, window_started_at, window_ends_at, used)
                SELECT '00000000-0000-7000-8000-000000000002', account_id, 'messages', 'month', '-infinity', 'infinity', 1 FROM wallets WHERE held > 0",
        subject: "SELECT '00000000-0000-7000-8000-000000000002' AS id",
        also: &[],
    },
    Fault {
        problem: "counter_differs_from_draws",
        plant: "UPDATE quota_counters SET used = used - 1 WHERE meter = 'credits' AND used > 0",
        subject: "SELECT id FROM quota_counters WHERE meter = 'credits' AND used > 0",
        also: &[],
    },
    Fault {
        problem: "counter_differs_from_draws",
        plant: "UPDATE quota_counters SET held = 0 WHERE meter = 'messages'",
        subject: "SELECT id FROM quota_counters WHERE meter = 'messages'",
        also: &[],
    },
    Fault {
        problem: "draw_differs_from_usage",
        plant: "UPDATE hold_draws SET spent = spent - 1 WHERE meter = 'tokens' AND hold_id = (SELECT id FROM holds WHERE state = 'settled' ORDER BY created_at LIMIT 1);
                UPDATE quota_counters SET used = used - 1 WHERE meter = 'tokens'",
        subject: SETTLED,
        also: &[],
    },
    Fault {
        problem: "draw_differs_from_usage",
        plant: "UPDATE hold_draws SET spent = 0 WHERE meter = 'messages' AND hold_id = (SELECT id FROM holds WHERE state = 'settled' ORDER BY created_at LIMIT 1);
                UPDATE quota_counters SET used = used - 1 WHERE meter = 'messages'",
        subject: SETTLED,
        also: &[],
    },
    Fault {
        problem: "deployment_differs_from_draws",
        plant: "DELETE FROM deployment_days WHERE held > 0",
        subject: "SELECT uuid_v7_floor(window_started_at) AS id FROM hold_draws WHERE slot IS NOT NULL",
        also: &[],
    },
    Fault {
        problem: "deployment_differs_from_draws",
        plant: "INSERT INTO deployment_days (started_at, slot, held) VALUES ('2001-01-01', 3, 1)",
        subject: "SELECT uuid_v7_floor('2001-01-01') AS id",
        also: &[],
    },
    Fault {
        problem: "draw_differs_from_usage",
        plant: "UPDATE hold_draws SET spent = 0 WHERE hold_id = (SELECT id FROM holds WHERE state = 'open')",
        subject: OPEN,
        also: &[],
    },
    Fault {
        problem: "conversation_counted_wrongly",
        plant: "UPDATE holds SET state = 'open', resolved_at = NULL WHERE purpose = 'conversation'",
        subject: CONVERSATION,
        also: &["counter_differs_from_draws", "draw_differs_from_usage"],
    },
    Fault {
        problem: "conversation_counted_wrongly",
        plant: "UPDATE hold_draws SET held = 2, spent = 2 WHERE hold_id = (SELECT id FROM holds WHERE purpose = 'conversation');
                UPDATE quota_counters SET used = used + 1 WHERE meter = 'conversations'",
        subject: CONVERSATION,
        also: &[],
    },
    Fault {
        problem: "conversation_counted_wrongly",
        plant: "UPDATE conversations SET account_id = (SELECT account_id FROM wallets WHERE held = 0) WHERE id = (SELECT id FROM holds WHERE purpose = 'conversation')",
        subject: CONVERSATION,
        also: &[],
    },
    Fault {
        problem: "draw_differs_from_usage",
        plant: "UPDATE hold_draws SET spent = 0 WHERE hold_id = (SELECT id FROM holds WHERE purpose = 'conversation');
                UPDATE quota_counters SET used = used - 1 WHERE meter = 'conversations'",
        subject: CONVERSATION,
        also: &[],
    },
    Fault {
        problem: "generation_without_hold",
        plant: "UPDATE holds SET purpose = 'conversation' WHERE id = (SELECT id FROM holds WHERE state = 'settled' ORDER BY created_at LIMIT 1)",
        subject: SETTLED,
        also: &["conversation_counted_wrongly"],
    },
];
