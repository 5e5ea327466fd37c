import { Socket } from 'node:net'
import { OWNER_FD, serveWorker } from '../lib/index.ts'

/** What `qkd site serve --workers` starts for each worker. It ends with its owner, who also says when. */
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => {})
await serveWorker({ port: process, owner: new Socket({ fd: OWNER_FD }) })
process.disconnect?.()
