"""The recipe that makes lariat's weights from free recordings; nothing here is imported by users' code.

The steps, each `python -m soundlasso.models.training.STEP`, each resumable: `corpus`, `instruments` and
`synthetic` gather material; `mix` keeps making examples while `train` learns from them; `trials` and
`phase_trial` compare networks; `evaluate` measures, `pack` writes weights and model card.
"""
