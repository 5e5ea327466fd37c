import { openStore } from '../../lib/kms/store/open-store.ts'

/** A process that opens the store in the directory of its argument, with the key beside it, says so, and ends. */
const directory = process.argv[2]!
const { store, slots } = await openStore({ path: `${directory}/store`, kek: { file: `${directory}/kek` } })
process.send!('open')
await slots.close()
await store.close()
process.disconnect()
