"""Knowledge distillation: losses, teachers, students."""
