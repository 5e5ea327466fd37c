import { setupMode } from './setup-mode.ts'
import { describeTrust } from './trust-suite.ts'

describeTrust(setupMode)
