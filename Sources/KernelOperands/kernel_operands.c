#include "kernel_operands.h"
