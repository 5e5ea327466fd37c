/** A process that opens the store in the directory of its first argument, says so, and holds it until it is killed. */
import { LmdbPoolStore } from '../../lib/kms/store/lmdb-store.ts'

await LmdbPoolStore.open(process.argv[2]!)
process.send!('open')
setInterval(() => {}, 1000)
