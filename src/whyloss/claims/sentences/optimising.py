"""Claims about how fast, and how safely, a loss is optimised. Run by races.py."""

from collections.abc import Mapping

from whyloss.claims.claim import Claim, Experiment, Panel, Statement, Text
from whyloss.claims.sentences.races import speed, starts

STARTS = Experiment(starts, ("exact", "ordinary", "wrong", "x10", "rates"))
START_WORDS: Mapping[str, Text] = {
    "ordinary": Text("ordinary start", "普通起点"),
    "wrong": Text("confidently wrong start", "确信而错误的起点"),
    "x10": Text("initial weights × 10", "初始权重 × 10"),
}
STEP = Text("step", "步数")
ACCURACY = Text("training accuracy", "训练准确率")
RATE = Text("learning rate", "学习率")

CLAIMS = [
    Claim(
        id="S1-5",
        sentence=Text(
            "The derivative of MSE saturates, so that gradients vanish and training hardly converges.",
            "MSE 的导数会饱和，造成梯度消失，难以收敛。",
        ),
        statements=(
            Statement(
                "silent",
                Text("the gradient of a confidently wrong row vanishes", "确信而错误的样本梯度消失"),
                Text(
                    "gradient on the label's output where outputs are equal, ratio to where it is 20 too low",
                    "各输出相等时与标签输出低 20 时的梯度之比",
                ),
                margin=1.0,
                unit="factor",
            ),
            Statement(
                "steps",
                Text("training takes longer than with cross-entropy", "训练比交叉熵更慢"),
                Text(
                    "steps to 90 % training accuracy, ratio to cross-entropy", "达到 90 % 训练准确率的步数与交叉熵之比"
                ),
                margin=1.0,
                unit="factor",
            ),
        ),
        experiment=STARTS,
        setting=Text(
            "Exact: two classes. Trained: a network with 32 hidden units on 100 rows of 3 classes of 6 Gaussian "
            "clusters each in 10 dimensions, plain gradient descent, 300 steps (what takes longer counts as 600), 12 "
            "seeds (24 from the ordinary start). Starts: small weights in the last layer; a last layer that puts the "
            "label's logit of every row about 10 below the others; the weights of both layers times 10. Fixed: rate "
            "0.1. Tuned: the fastest of 13 rates from 0.0003 to 316.",
            "精确：两类。训练：32 个隐藏单元的网络，10 维数据，3 个类别各含 6 个高斯簇，共 100 行，普通梯度下降 300 "
            "步（未达到者按 600 步计），12 个种子（普通起点 24 个）。起点：最后一层权重较小；最后一层使每个样本标签的 "
            "logit 比其他类别低约 10；两层权重均乘以 10。固定：学习率 0.1。调优：0.0003 到 316 之间 13 "
            "个学习率中最快者。",
        ),
        formula="|dL/dz_y|, p -> 0: 4 p (1 - p)^2 -> 0 for squared error on two probabilities; 2 |z_y - 1| / C grows "
        "for least squares; 1 - p -> 1 for cross-entropy",
        instead=Text(
            "Keep the initial weights of the last layer small; where a model may start confidently wrong, train it "
            "with `whyloss.CrossEntropyLoss()` first and with `whyloss.BrierLoss()` afterwards.",
            "最后一层的初始权重取小值；若模型可能从确信而错误的状态出发，先用 `whyloss.CrossEntropyLoss()` 训练，再用 "
            "`whyloss.BrierLoss()`。",
        ),
        panels=(
            Panel(
                "slope",
                Text("The gradient of a row", "单个样本的梯度"),
                Text("output of the label, the other being 0", "标签的输出（另一输出为 0）"),
                Text("size of the gradient", "梯度大小"),
            ),
            Panel(
                "path wrong",
                Text("From a confidently wrong start, rate 0.1", "从确信而错误的起点出发，学习率 0.1"),
                STEP,
                ACCURACY,
            ),
        ),
        words=START_WORDS,
    ),
    Claim(
        id="S1-13",
        sentence=Text(
            "Cross-entropy is more stable and more effective to optimise than MSE.",
            "与 MSE 相比，交叉熵的梯度和优化更加稳定有效。",
        ),
        statements=(
            Statement(
                "range",
                Text("more learning rates work than with MSE", "可用的学习率范围大于 MSE"),
                Text(
                    "width (as a factor) of the learning rates within 1 point of the best one's test accuracy, mean "
                    "over a linear model and a network, cross-entropy over MSE",
                    "测试准确率距最佳者不超过 1 个百分点的学习率范围（倍数），线性模型与网络的平均，交叉熵与 MSE 之比",
                ),
                margin=1.0,
                unit="factor",
            ),
            Statement(
                "effective",
                Text("large initial weights cost less accuracy than with MSE", "初始权重过大时损失的准确率少于 MSE"),
                Text("test accuracy of cross-entropy minus that of MSE", "交叉熵与 MSE 的测试准确率之差"),
                margin=0.01,
            ),
            Statement(
                "speed",
                Text("training is faster than with MSE", "训练比 MSE 更快"),
                Text(
                    "steps to 90 % training accuracy, MSE over cross-entropy",
                    "达到 90 % 训练准确率的步数，MSE 与交叉熵之比",
                ),
                margin=1.0,
                unit="factor",
            ),
        ),
        experiment=STARTS,
        setting=Text(
            "Plain gradient descent; networks have 32 hidden units. Range of rates: 19 rates from 0.0008 to 205, each "
            "twice the one before, 120 rows of 3 classes of 3 Gaussian clusters each, standardised features, 200 "
            "steps, 14 seeds. The rest: a network, 100 rows of 3 classes of 6 clusters each, 300 steps, 12 seeds (24 "
            "for speed), 13 rates from 0.0003 to 316. Fixed: rate 0.1; a range counts as fixed, since it is for those "
            "who do not tune. Tuned: the best rate on 200 validation rows, or the fastest.",
            "普通梯度下降；网络有 32 个隐藏单元。学习率范围：0.0008 到 205 共 19 个学习率，逐个加倍，3 个类别各含 3 "
            "个高斯簇，共 120 行，标准化特征，200 步，14 个种子。其余：网络，3 个类别各含 6 个簇，共 100 行，300 步，"
            "12 个种子（速度为 24 个），0.0003 到 316 共 13 个学习率。固定：学习率 0.1；学习率范围是对不调参者而言，"
            "故计入固定。调优：200 行验证数据上最佳的学习率，或最快的学习率。",
        ),
        formula="|dL/dz_y| = 1 - p: largest where the row is wrong, never above 1",
        instead=Text(
            "Begin with `whyloss.CrossEntropyLoss()`, keep the initial weights of the last layer small, and tune the "
            "learning rate of each loss before you compare them.",
            "从 `whyloss.CrossEntropyLoss()` 开始，最后一层的初始权重取小值，比较损失之前先为每种损失调好学习率。",
        ),
        panels=(
            Panel(
                "rates",
                Text("Accuracy of a network by learning rate", "不同学习率下网络的准确率"),
                RATE,
                Text("test accuracy", "测试准确率"),
                log_x=True,
            ),
            Panel("path x10", Text("Initial weights × 10, rate 0.1", "初始权重 × 10，学习率 0.1"), STEP, ACCURACY),
        ),
        words=START_WORDS,
    ),
    Claim(
        id="S2-11",
        sentence=Text(
            "The gradient of cross-entropy responds strongly to errors, so that training converges fast.",
            "交叉熵的梯度响应大，收敛速度快。",
        ),
        statements=(
            Statement(
                "large",
                Text("the gradient of a wrong row is larger than with another loss", "分错样本的梯度大于其他损失"),
                Text(
                    "gradient on the label's output, at a probability of 1 % of two classes; cross-entropy over the "
                    "other",
                    "两类且标签概率为 1 % 时标签输出上的梯度，交叉熵与其他损失之比",
                ),
                margin=1.0,
                unit="factor",
            ),
            Statement(
                "fast",
                Text("another loss takes longer", "其他损失更慢"),
                Text(
                    "steps to 90 % training accuracy, ratio to cross-entropy", "达到 90 % 训练准确率的步数与交叉熵之比"
                ),
                margin=1.0,
                unit="factor",
            ),
        ),
        experiment=Experiment(speed, ("exact", "clusters", "digits")),
        setting=Text(
            "A network with 32 hidden units, plain gradient descent, at most 300 steps (what takes longer counts as "
            "600), 10 seeds; 100 rows of 3 classes of 6 Gaussian clusters each, and 179 rows of digits. Fixed: rate "
            "0.1. Tuned: for each loss the fastest of 8 rates from 0.03 to 100.",
            "32 个隐藏单元的网络，普通梯度下降，最多 300 步（未达到者按 600 步计），10 个种子；3 个类别各含 6 "
            "个高斯簇的 100 行数据，以及手写数字的 179 行。固定：学习率 0.1。调优：每种损失取 0.03 到 100 之间 8 "
            "个学习率中最快者。",
        ),
        formula="|dL/dz_y| of two classes: 1 - p for cross-entropy, 4 p (1 - p)^2 for squared error on probabilities, "
        "2 p (1 - p) for MAE, |logit(p) - 1| for least squares",
        instead=Text(
            "Compare losses each at its own learning rate, as `whyloss advise data.csv --label y` does.",
            "比较损失时，为每种损失选取各自的学习率，`whyloss advise data.csv --label y` 就是这样做的。",
        ),
        panels=(
            Panel(
                "slope",
                Text("The gradient of a row", "单个样本的梯度"),
                Text("probability of the label", "标签的概率"),
                Text("size of the gradient on the label's output", "标签输出上的梯度大小"),
            ),
            Panel(
                "steps digits",
                Text("Steps to 90 % training accuracy, digits", "达到 90 % 训练准确率的步数，手写数字"),
                Text("loss", "损失"),
                STEP,
                mark="bar",
                log_y=True,
            ),
        ),
        words={"row": Text("a single row", "单个样本")},
    ),
]
