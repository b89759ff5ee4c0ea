-- Has this operation been done? It did not return above, so no.

return '?'
