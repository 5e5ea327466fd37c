import type { AlarmNotice } from '../interface/alarm.ts'

/** A notice as webhooks and programs get it: one JSON object, times as ISO 8601 in UTC. */
export function noticeJson({ raisedAtMs, changedAtMs, acknowledged, ...notice }: AlarmNotice): string {
  return JSON.stringify({
    ...notice,
    raisedAt: iso(raisedAtMs),
    changedAt: iso(changedAtMs),
    ...(acknowledged && {
      acknowledged: { by: acknowledged.by, at: iso(acknowledged.atMs), note: acknowledged.note ?? null },
    }),
  })
}

function iso(ms: number): string {
  return new Date(ms).toISOString()
}
