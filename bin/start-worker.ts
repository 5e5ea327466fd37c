import { type ChildProcess, fork } from 'node:child_process'

/** A worker of `qkd site serve`: standard error is ours, and one more pipe brings it to the owner of the pools. */
export function startWorker(): ChildProcess {
  const own = import.meta.url
  const program = new URL(own.endsWith('.ts') ? 'site-worker.ts' : 'site-worker.js', own)
  return fork(program, [], { stdio: ['ignore', 'ignore', 'inherit', 'ipc', 'pipe'] })
}
