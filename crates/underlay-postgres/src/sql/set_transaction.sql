SELECT
    pg_is_in_recovery() AS standby,
    set_config('role', $1, true),
    set_config('underlay.tenant', $2, true),
    set_config('search_path', $3, true),
    set_config('statement_timeout', $4, true),
    set_config('idle_in_transaction_session_timeout', $5, true),
    set_config('enable_seqscan', 'off', true),
    set_config('enable_sort', 'off', true),
    set_config('enable_incremental_sort', 'off', true),
    set_config('jit', 'off', true)
