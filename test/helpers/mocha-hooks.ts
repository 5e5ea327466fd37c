/** Root hooks of every test run: nothing rejects unseen, and the compliance matrix is printed at the end. */
import { compliance } from '../compliance/matrix.ts'

export const mochaHooks = {
  afterAll(): void {
    const table = compliance.toTable()
    if (table !== '') console.log(`\n${table}`)
  },
}
