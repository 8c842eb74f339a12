// @generated automatically by Diesel CLI.

diesel::table! {
    accounts (id) {
        id -> Uuid,
        kind -> Text,
        name -> Text,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    cache_epochs (scope) {
        scope -> Text,
        epoch -> Int8,
    }
}

diesel::table! {
    catalogs (version) {
        version -> Int4,
        source -> Text,
        document -> Text,
        content -> Jsonb,
        applied_at -> Timestamptz,
    }
}

diesel::table! {
    conversation_events (conversation_id, sequence, slot) {
        slot -> Int2,
        conversation_id -> Uuid,
        sequence -> Int4,
        kind -> Text,
        message_id -> Nullable<Uuid>,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    conversations (id) {
        id -> Uuid,
        account_id -> Uuid,
        created_by -> Uuid,
        title -> Nullable<Text>,
        system_prompt -> Nullable<Text>,
        model_key -> Nullable<Text>,
        head_id -> Nullable<Uuid>,
        message_count -> Int4,
        event_sequence -> Int4,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        options -> Jsonb,
        is_starred -> Bool,
        archived_at -> Nullable<Timestamptz>,
        tags -> Array<Nullable<Text>>,
        title_state -> Text,
    }
}

diesel::table! {
    credit_adjustments (id) {
        id -> Uuid,
        account_id -> Uuid,
        amount -> Int8,
        booked -> Int8,
        expires_at -> Nullable<Timestamptz>,
        reason -> Text,
        status -> Text,
        requested_by -> Nullable<Uuid>,
        key -> Text,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    cron_entries (name) {
        name -> Text,
        schedule -> Text,
        time_zone -> Text,
        catch_up -> Text,
        next_tick_at -> Timestamptz,
        is_enabled -> Bool,
    }
}

diesel::table! {
    cron_ticks (name, tick_at) {
        name -> Text,
        tick_at -> Timestamptz,
        job_id -> Uuid,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    deployment_days (started_at, slot) {
        started_at -> Timestamptz,
        slot -> Int2,
        used -> Int8,
        held -> Int8,
    }
}

diesel::table! {
    generations (id) {
        id -> Uuid,
        account_id -> Uuid,
        user_id -> Uuid,
        conversation_id -> Nullable<Uuid>,
        message_id -> Nullable<Uuid>,
        replica_id -> Uuid,
        status -> Text,
        requested_model -> Text,
        model_key -> Text,
        terms -> Jsonb,
        is_output_capped -> Bool,
        stop_requested_at -> Nullable<Timestamptz>,
        finish_reason -> Nullable<Text>,
        error_code -> Nullable<Text>,
        error_message -> Nullable<Text>,
        is_retryable -> Nullable<Bool>,
        retry_after_seconds -> Nullable<Int4>,
        input_tokens -> Nullable<Int4>,
        cached_input_tokens -> Nullable<Int4>,
        cache_write_tokens -> Nullable<Int4>,
        output_tokens -> Nullable<Int4>,
        reasoning_tokens -> Nullable<Int4>,
        usage_source -> Nullable<Text>,
        credits_held -> Int8,
        credits_charged -> Nullable<Int8>,
        revision -> Int4,
        created_at -> Timestamptz,
        first_output_at -> Nullable<Timestamptz>,
        finished_at -> Nullable<Timestamptz>,
        purpose -> Text,
        estimated_input_tokens -> Int4,
    }
}

diesel::table! {
    grants (id) {
        id -> Uuid,
        wallet_id -> Uuid,
        source -> Text,
        source_key -> Text,
        priority -> Int2,
        amount -> Int8,
        available -> Int8,
        held -> Int8,
        spent -> Int8,
        expired -> Int8,
        revoked -> Int8,
        starts_at -> Timestamptz,
        expires_at -> Timestamptz,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    hold_draws (hold_id, line, part) {
        hold_id -> Uuid,
        line -> Int2,
        part -> Int2,
        meter -> Text,
        wallet_id -> Nullable<Uuid>,
        grant_id -> Nullable<Uuid>,
        counter_id -> Nullable<Uuid>,
        slot -> Nullable<Int2>,
        window_started_at -> Nullable<Timestamptz>,
        held -> Int8,
        spent -> Nullable<Int8>,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    holds (id) {
        id -> Uuid,
        account_id -> Uuid,
        purpose -> Text,
        state -> Text,
        units -> Int8,
        overrun -> Int8,
        created_at -> Timestamptz,
        resolved_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    idempotency_keys (user_id, operation, key) {
        user_id -> Uuid,
        operation -> Text,
        key -> Text,
        request_hash -> Bytea,
        result -> Jsonb,
        created_at -> Timestamptz,
        expires_at -> Timestamptz,
    }
}

diesel::table! {
    jobs (id) {
        id -> Uuid,
        queue -> Text,
        name -> Text,
        account_id -> Nullable<Uuid>,
        lane -> Int8,
        payload -> Jsonb,
        unique_key -> Nullable<Text>,
        state -> Text,
        priority -> Int2,
        run_at -> Timestamptz,
        attempts -> Int2,
        max_attempts -> Int2,
        fence -> Int4,
        owner_id -> Nullable<Uuid>,
        claimed_at -> Nullable<Timestamptz>,
        deadline_at -> Nullable<Timestamptz>,
        request_id -> Nullable<Text>,
        reason -> Nullable<Text>,
        created_at -> Timestamptz,
        finished_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    ledger_checks (checked_at) {
        checked_at -> Timestamptz,
        differences -> Int8,
    }
}

diesel::table! {
    ledger_entries (id) {
        id -> Uuid,
        account_id -> Uuid,
        wallet_id -> Uuid,
        grant_id -> Uuid,
        kind -> Text,
        amount -> Int8,
        spent -> Int8,
        balance_after -> Int8,
        revision -> Int8,
        hold_id -> Nullable<Uuid>,
        taking_id -> Nullable<Uuid>,
        user_id -> Nullable<Uuid>,
        description -> Text,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    ledger_takings (id) {
        id -> Uuid,
        wallet_id -> Uuid,
        grant_id -> Nullable<Uuid>,
        reference -> Nullable<Text>,
        asked -> Int8,
        taken -> Int8,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    members (account_id, user_id) {
        account_id -> Uuid,
        user_id -> Uuid,
        role -> Text,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    messages (id) {
        id -> Uuid,
        account_id -> Uuid,
        conversation_id -> Nullable<Uuid>,
        parent_id -> Nullable<Uuid>,
        depth -> Int4,
        jump_id -> Nullable<Uuid>,
        jump_depth -> Int4,
        role -> Text,
        author_id -> Nullable<Uuid>,
        status -> Text,
        parts -> Jsonb,
        stream_sequence -> Int4,
        created_at -> Timestamptz,
        edited_at -> Nullable<Timestamptz>,
        owner_id -> Nullable<Uuid>,
    }
}

diesel::table! {
    model_prices (id) {
        id -> Uuid,
        model_id -> Uuid,
        unit -> Text,
        credits -> Int8,
        cost -> Nullable<Int8>,
        valid_from -> Timestamptz,
        valid_to -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    models (id) {
        id -> Uuid,
        key -> Text,
        name -> Text,
        aliases -> Jsonb,
        provider -> Text,
        upstream_name -> Text,
        context_tokens -> Int4,
        max_output_tokens -> Int4,
        is_enabled -> Bool,
    }
}

diesel::table! {
    plans (id) {
        id -> Uuid,
        key -> Text,
        version -> Int4,
        is_offered -> Bool,
        is_default -> Bool,
        position -> Int4,
        content -> Jsonb,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    quota_counters (id) {
        id -> Uuid,
        account_id -> Uuid,
        user_id -> Uuid,
        meter -> Text,
        window_kind -> Text,
        window_started_at -> Nullable<Timestamptz>,
        window_ends_at -> Nullable<Timestamptz>,
        used -> Int8,
        held -> Int8,
        revision -> Int8,
    }
}

diesel::table! {
    rate_limits (key) {
        key -> Text,
        stamps -> Array<Nullable<Timestamptz>>,
        full_at -> Timestamptz,
    }
}

diesel::table! {
    refresh_tokens (token_hash) {
        token_hash -> Bytea,
        session_id -> Uuid,
        generation -> Int4,
        issued_at -> Timestamptz,
        expires_at -> Timestamptz,
        used_at -> Nullable<Timestamptz>,
        successor_hash -> Nullable<Bytea>,
        successor_sealed -> Nullable<Bytea>,
    }
}

diesel::table! {
    replicas (id) {
        id -> Uuid,
        lease_until -> Timestamptz,
        fenced_at -> Nullable<Timestamptz>,
        drained_at -> Nullable<Timestamptz>,
        steady_since -> Timestamptz,
        version -> Text,
        started_at -> Timestamptz,
        host -> Text,
    }
}

diesel::table! {
    revocations (id) {
        id -> Int8,
        subject_kind -> Text,
        subject_id -> Uuid,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    sessions (id) {
        id -> Uuid,
        user_id -> Uuid,
        user_agent -> Nullable<Text>,
        ip_address -> Text,
        created_at -> Timestamptz,
        last_used_at -> Timestamptz,
        expires_at -> Timestamptz,
        revoked_at -> Nullable<Timestamptz>,
        revoke_reason -> Nullable<Text>,
    }
}

diesel::table! {
    settings (key) {
        key -> Text,
        value -> Jsonb,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    stream_events (message_id, sequence, slot) {
        slot -> Int2,
        message_id -> Uuid,
        sequence -> Int4,
        part_index -> Int2,
        kind -> Text,
        text -> Text,
    }
}

diesel::table! {
    stream_rotations (id) {
        id -> Bool,
        slot -> Int2,
        rotated_at -> Timestamptz,
    }
}

diesel::table! {
    subscription_changes (id) {
        id -> Uuid,
        subscription_id -> Uuid,
        from_plan_id -> Uuid,
        to_plan_id -> Uuid,
        cause -> Text,
        reason -> Nullable<Text>,
        requested_by -> Nullable<Uuid>,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    subscriptions (id) {
        id -> Uuid,
        account_id -> Uuid,
        plan_id -> Uuid,
        next_plan_id -> Nullable<Uuid>,
        reverts_to_plan_id -> Nullable<Uuid>,
        reverts_at -> Nullable<Timestamptz>,
        anchor_at -> Timestamptz,
        period -> Int4,
        period_started_at -> Timestamptz,
        period_ends_at -> Timestamptz,
        due_at -> Timestamptz,
        revision -> Int8,
        created_at -> Timestamptz,
        ended_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    users (id) {
        id -> Uuid,
        email -> Text,
        name -> Text,
        password_hash -> Text,
        role -> Text,
        status -> Text,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    wallets (id) {
        id -> Uuid,
        account_id -> Uuid,
        meter -> Text,
        available -> Int8,
        held -> Int8,
        revision -> Int8,
    }
}

diesel::joinable!(conversations -> accounts (account_id));
diesel::joinable!(conversations -> users (created_by));
diesel::joinable!(credit_adjustments -> accounts (account_id));
diesel::joinable!(cron_ticks -> cron_entries (name));
diesel::joinable!(generations -> accounts (account_id));
diesel::joinable!(generations -> conversations (conversation_id));
diesel::joinable!(generations -> messages (message_id));
diesel::joinable!(generations -> users (user_id));
diesel::joinable!(grants -> wallets (wallet_id));
diesel::joinable!(hold_draws -> grants (grant_id));
diesel::joinable!(hold_draws -> holds (hold_id));
diesel::joinable!(hold_draws -> quota_counters (counter_id));
diesel::joinable!(ledger_entries -> grants (grant_id));
diesel::joinable!(ledger_entries -> ledger_takings (taking_id));
diesel::joinable!(ledger_entries -> wallets (wallet_id));
diesel::joinable!(ledger_takings -> grants (grant_id));
diesel::joinable!(ledger_takings -> wallets (wallet_id));
diesel::joinable!(members -> accounts (account_id));
diesel::joinable!(members -> users (user_id));
diesel::joinable!(model_prices -> models (model_id));
diesel::joinable!(quota_counters -> accounts (account_id));
diesel::joinable!(refresh_tokens -> sessions (session_id));
diesel::joinable!(sessions -> users (user_id));
diesel::joinable!(subscription_changes -> subscriptions (subscription_id));
diesel::joinable!(subscriptions -> accounts (account_id));
diesel::joinable!(wallets -> accounts (account_id));

diesel::allow_tables_to_appear_in_same_query!(
    accounts,
    conversations,
    credit_adjustments,
    generations,
    grants,
    hold_draws,
    holds,
    ledger_entries,
    ledger_takings,
    members,
    messages,
    quota_counters,
    refresh_tokens,
    sessions,
    subscription_changes,
    subscriptions,
    users,
    wallets,
);
diesel::allow_tables_to_appear_in_same_query!(model_prices, models,);
diesel::allow_tables_to_appear_in_same_query!(cron_entries, cron_ticks,);
