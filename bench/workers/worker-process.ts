/** A worker, as the command line starts one. */
import { Socket } from 'node:net'
import { OWNER_FD, serveWorker } from '../../lib/index.ts'

await serveWorker({ port: process, owner: new Socket({ fd: OWNER_FD }) })
process.disconnect?.()
