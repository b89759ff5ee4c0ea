-- End this life of the session. The ledger stays: it knows what must not be done again.

call('ZSCORE', KEYS[7], ARGV[6])
drop()
call('ZREM', KEYS[7], ARGV[6])
call('ZREM', KEYS[8], ARGV[6])
sweep()
return remember(alive and '+' or '-')
