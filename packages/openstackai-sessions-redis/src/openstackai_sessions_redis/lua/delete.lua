-- End this life of the session. The ledger stays: it knows what must not be done again.

call('ZSCORE', KEYS[7], ARGV[6])
call('ZCARD', KEYS[8])
call('UNLINK', KEYS[1], KEYS[2], KEYS[3], KEYS[4])
call('ZREM', KEYS[7], ARGV[6])
call('ZREM', KEYS[8], ARGV[6])
return remember(state and '+' or '-')
