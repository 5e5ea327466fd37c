import { AuditFile } from '../../../lib/kms/audit/audit-file.ts'

/** Writes to the audit log named by its argument until it is refused three times; prints how many of each. */
await using log = await AuditFile.open(process.argv[2]!, { siteId: 'site-a' })
let written = 0
let refused = 0
while (refused < 3) {
  const keyIds = [String(written + refused).padStart(300, '0')]
  await log.record({ event: 'issue', outcome: 'allowed', keyIds }).then(
    () => {
      written += 1
    },
    () => {
      refused += 1
    },
  )
}
process.stdout.write(JSON.stringify({ written, refused }))
