// Runs a TypeScript module on a thread of Node.js 20, whose threads do not inherit the loader. Never packed: no TypeScript is.
import { workerData } from 'node:worker_threads'
import { register } from 'tsx/esm/api'

register()
await import(workerData)
